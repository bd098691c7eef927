"""Worker processes that each hold one network and track a batch of sequences at a time.

A worker that dies is replaced. The sequences it was tracking are tried once more, each on its own,
so that one that kills its worker takes no other with it. Neighbours: job.py is what a worker does,
running.py starts all of them.

To a worker go sequences, None where there are no more for it; back come pairs of a sequence's name
and how many of its frames are tracked, or how it ended. Each ending is answered by one of the
former.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
import traceback
from collections import deque
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

import cv2
import torch

from lib.test.evaluation.data import Sequence
from lib.test.evaluation.job import Job, track_and_save
from lib.test.evaluation.progress import Progress
from lib.test.evaluation.sharing import worker_device
from lib.test.tracker.load import make_tracker

logger = logging.getLogger(__name__)


class Worker(NamedTuple):
    """A process and the pipe to it."""

    process: multiprocessing.Process
    pipe: Connection
    device: str
    batch: int  # sequences that it tracks at a time


class Pool:
    """Workers, and which sequences each is tracking."""

    def __init__(self, job: Job, workers: int, progress: Progress) -> None:
        """Nothing is started yet."""
        self.job, self.count, self.progress = job, workers, progress
        self._context = multiprocessing.get_context("spawn")
        self._queue: deque[Sequence] = deque()
        self._retries: deque[Sequence] = deque()  # for workers that track one at a time
        self._busy: dict[Connection, tuple[Worker, dict[str, Sequence]]] = {}
        self._died: set[str] = set()  # sequences during which a worker has died

    def run(self, todo: list[Sequence]) -> None:
        """Give sequences to workers until none is left."""
        self._queue.extend(todo)
        try:
            for index in range(self.count):
                device = worker_device(str(self.job.options.device), index, self.count)
                self._start(device, self.job.batch)
            while self._busy:
                for pipe in wait(list(self._busy)):
                    self._receive(pipe)
        finally:
            for worker, _ in self._busy.values():
                worker.process.terminate()

    def _start(self, device: str, batch: int) -> None:
        """Start a worker and fill its batch."""
        ours, theirs = self._context.Pipe()
        job = self.job._replace(options=replace(self.job.options, device=device), batch=batch)
        process = self._context.Process(
            target=_work, args=(job, theirs, self.count), daemon=True, name=f"tracking on {device}"
        )
        process.start()
        theirs.close()
        worker = Worker(process, ours, device, batch)
        self._busy[ours] = (worker, {})
        for _ in range(batch):
            self._give(worker)

    def _give(self, worker: Worker) -> None:
        """Send the next sequence, or that there are no more for this worker."""
        sequence = None
        if worker.batch == 1 and self._retries:
            sequence = self._retries.popleft()
        elif worker.batch == self.job.batch and self._queue:
            sequence = self._queue.popleft()
        if sequence is not None:
            self._busy[worker.pipe][1][sequence.name] = sequence
        with contextlib.suppress(OSError):  # a worker that has died is noticed in _receive
            worker.pipe.send(sequence)

    def _receive(self, pipe: Connection) -> None:
        """Take a worker's message, or notice that it has died."""
        worker, tracking = self._busy[pipe]
        try:
            name, message = pipe.recv()
        except (EOFError, OSError):
            self._bury(worker, tracking)
            return
        if isinstance(message, int):
            self.progress.advance(tracking[name], message)
            return
        self.progress.finish(tracking.pop(name), message)
        self._give(worker)
        if not tracking:
            self._part(worker)

    def _bury(self, worker: Worker, tracking: dict[str, Sequence]) -> None:
        """Note the sequences of a worker that died; one that kills two has failed."""
        worker.process.join()
        how = f"its worker process died ({_exit_text(worker.process.exitcode)})"
        for sequence in tracking.values():
            self.progress.advance(sequence, 0)
            if sequence.name in self._died:
                self.progress.finish(sequence, f"{how} for the second time")
            else:
                logger.warning("%s: %s; trying once more", sequence.name, how)
                self._died.add(sequence.name)
                self._retries.append(sequence)
        self._part(worker)

    def _part(self, worker: Worker) -> None:
        """Let a worker go; another takes its place if there is work that no other would do."""
        del self._busy[worker.pipe]
        worker.pipe.close()
        if self._retries:
            self._start(worker.device, 1)
        elif self._queue:
            self._start(worker.device, self.job.batch)


def _exit_text(code: int | None) -> str:
    """Say how a process ended; negative codes are signals."""
    if code is None or code >= 0:
        return f"exit status {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"


def _work(job: Job, pipe: Connection, workers: int) -> None:
    """A worker process: one network, sequences from the pipe until there are no more."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    cv2.setNumThreads(1)
    sequences = iter(lambda: _next(pipe), None)
    try:
        tracker = make_tracker(job.options)
    except Exception:
        reason = traceback.format_exc()
        for sequence in sequences:
            pipe.send((sequence.name, reason))
        return

    def tell(sequence: Sequence, frames: int) -> None:
        pipe.send((sequence.name, frames))

    for sequence, outcome in track_and_save(tracker, sequences, job, tell):
        pipe.send((sequence.name, outcome))


def _next(pipe: Connection) -> Sequence | None:
    """The next sequence; None when there are no more or the parent is gone."""
    try:
        return pipe.recv()
    except (EOFError, OSError, KeyboardInterrupt):
        return None
