"""Run a tracker over a test set: in this process or in several, resumable, one network each.

A sequence that fails is reported with its traceback and the others go on. A worker process that
dies is replaced once, and its sequence tried again. Neighbours: tracker.py runs one sequence,
results.py keeps what came out.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

import cv2
import numpy as np
import torch

from lib.test.evaluation.data import Sequence
from lib.test.evaluation.progress import Done, Failure, Progress
from lib.test.evaluation.results import Provenance, ResultFolder
from lib.test.evaluation.sharing import worker_device
from lib.test.evaluation.tracker import run_sequence
from lib.test.tracker.load import TrackerSpec

logger = logging.getLogger(__name__)

REPORT_SECONDS = 0.5  # how often a worker says how far it is

OnFrame = Callable[[np.ndarray, list[float], float], None]


class Job(NamedTuple):
    """Everything that the sequences of a run have in common; picklable."""

    spec: TrackerSpec
    folder: ResultFolder
    provenance: Provenance


class Summary(NamedTuple):
    """How a run went."""

    finished_before: int  # sequences that already had a result of this provenance
    tracked: int  # sequences
    frames: int  # frames tracked in this run
    seconds: float  # time spent on them, summed over processes
    failures: list[Failure]


def run_sequences(
    sequences: list[Sequence], job: Job, workers: int = 0, on_frame: OnFrame | None = None
) -> Summary:
    """Track every sequence that has no finished result yet, the longest first.

    Args:
        sequences: of one test set.
        workers: processes; 0 tracks in this one.
        on_frame: called with image, box, score after each frame; needs `workers` = 0.
    """
    todo = [
        s for s in sequences if not job.folder.is_finished(s.name, len(s.frames), job.provenance)
    ]
    todo.sort(key=lambda s: -len(s.frames))
    with Progress(sequences, todo) as progress:
        if not todo:
            pass
        elif workers == 0:
            _run_here(todo, job, progress, on_frame)
        else:
            _Pool(job, min(workers, len(todo)), progress).run(todo)
        _check_results(todo, job, progress)
    skipped = len(sequences) - len(todo)
    return Summary(skipped, progress.done, progress.frames, progress.seconds, progress.failures)


def _check_results(tracked: list[Sequence], job: Job, progress: Progress) -> None:
    """Fail what was tracked and yet has no result, as after another run into the same folder."""
    failed = {failure.sequence for failure in progress.failures}
    for sequence in tracked:
        whole = job.folder.is_finished(sequence.name, len(sequence.frames), job.provenance)
        if sequence.name not in failed and not whole:
            progress.take_back(
                sequence,
                f"its result in {job.folder.path} is gone, or another run with other weights, "
                "recipe, code or device has replaced it; give each run a folder with --results",
            )


def _run_here(todo: list[Sequence], job: Job, progress: Progress, on_frame: OnFrame | None) -> None:
    """Track in this process, with one network."""
    spec = job.spec
    tracker = spec._replace(device=worker_device(spec.device, 0)).load()
    for sequence in todo:
        report = _Reporter(lambda frame, s=sequence: progress.advance(s, frame), on_frame)
        progress.finish(sequence, _track_and_save(tracker, sequence, job, report))


class _Reporter:
    """Counts frames and tells now and then."""

    def __init__(self, tell: Callable[[int], None], also: OnFrame | None = None) -> None:
        self._tell, self._also = tell, also
        self._frame, self._told = 0, time.monotonic()

    def __call__(self, image: np.ndarray, box: list[float], score: float) -> None:
        self._frame += 1
        if self._also is not None:
            self._also(image, box, score)
        if time.monotonic() - self._told > REPORT_SECONDS:
            self._told = time.monotonic()
            self._tell(self._frame)


def _track_and_save(tracker, sequence: Sequence, job: Job, report: OnFrame) -> Done | str:
    """Run one sequence and keep its result; a traceback if that fails."""
    try:
        result = run_sequence(tracker, sequence, report)
        job.folder.save(sequence.name, result, job.provenance)
    except Exception:  # the boundary of a sequence: it is named and the others go on
        return traceback.format_exc()
    return Done(len(result.seconds), float(result.seconds.sum()))


class _Worker(NamedTuple):
    """A process and the pipe to it."""

    process: multiprocessing.Process
    pipe: Connection
    device: str


class _Pool:
    """Worker processes that each hold one network and take one sequence at a time."""

    def __init__(self, job: Job, workers: int, progress: Progress) -> None:
        self.job, self.count, self.progress = job, workers, progress
        self._context = multiprocessing.get_context("spawn")
        self._busy: dict[Connection, tuple[_Worker, Sequence]] = {}
        self._died: set[str] = set()  # sequences during which a worker has died

    def run(self, todo: list[Sequence]) -> None:
        """Give sequences to workers until none is left."""
        queue = deque(todo)
        try:
            for index in range(self.count):
                device = worker_device(self.job.spec.device, index, self.count)
                self._give(self._start(device), queue)
            while self._busy:
                for pipe in wait(list(self._busy)):
                    self._receive(pipe, queue)
        finally:
            for worker, _ in self._busy.values():
                worker.process.terminate()

    def _start(self, device: str) -> _Worker:
        ours, theirs = self._context.Pipe()
        job = self.job._replace(spec=self.job.spec._replace(device=device))
        process = self._context.Process(
            target=_work, args=(job, theirs, self.count), daemon=True, name=f"tracking on {device}"
        )
        process.start()
        theirs.close()
        return _Worker(process, ours, device)

    def _give(self, worker: _Worker, queue: deque[Sequence]) -> None:
        """Send the next sequence, or let the worker go."""
        if queue:
            sequence = queue.popleft()
            self._busy[worker.pipe] = (worker, sequence)
            with contextlib.suppress(OSError):  # a worker that has died is noticed in _receive
                worker.pipe.send(sequence)
        else:
            worker.pipe.close()

    def _receive(self, pipe: Connection, queue: deque[Sequence]) -> None:
        """Take a worker's message, or notice that it has died."""
        worker, sequence = self._busy[pipe]
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            del self._busy[pipe]
            self._replace(worker, sequence, queue)
            return
        if isinstance(message, int):
            self.progress.advance(sequence, message)
            return
        del self._busy[pipe]
        self.progress.finish(sequence, message)
        self._give(worker, queue)

    def _replace(self, worker: _Worker, sequence: Sequence, queue: deque[Sequence]) -> None:
        """Start another process for one that died; a sequence that kills two has failed."""
        worker.process.join()
        how = f"its worker process died ({_exit_text(worker.process.exitcode)})"
        self.progress.advance(sequence, 0)
        if sequence.name in self._died:
            self.progress.finish(sequence, f"{how} for the second time")
        else:
            logger.warning("%s: %s; trying once more", sequence.name, how)
            self._died.add(sequence.name)
            queue.appendleft(sequence)
        if queue:
            self._give(self._start(worker.device), queue)


def _exit_text(code: int | None) -> str:
    """Say how a process ended; negative codes are signals."""
    if code is None or code >= 0:
        return f"exit status {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"


def _work(job: Job, pipe: Connection, workers: int) -> None:
    """A worker process: one network, sequences from the pipe until it is closed."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    cv2.setNumThreads(1)
    try:
        tracker = job.spec.load()
    except Exception:
        reason = traceback.format_exc()
        while _next(pipe) is not None:
            pipe.send(reason)
        return
    while (sequence := _next(pipe)) is not None:
        pipe.send(_track_and_save(tracker, sequence, job, _Reporter(pipe.send)))


def _next(pipe: Connection) -> Sequence | None:
    """The next sequence; None when there are no more or the parent is gone."""
    try:
        return pipe.recv()
    except (EOFError, KeyboardInterrupt):
        return None
