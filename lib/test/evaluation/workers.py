"""Worker processes that each hold one network and track a batch of sequences at a time.

A worker that dies is replaced. The sequences it was tracking are tried once more, each on its own,
so that one that kills its worker takes no other with it.

A worker says when it is ready, and is then sent sequences, and None where there are no more for it.
Sent earlier, a long sequence would fill the pipe, and all other workers would wait for this one. It
sends pairs: a sequence's name and how many of its frames are tracked, or how it ended; then it is
sent the next one.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import traceback
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import cv2

from lib.test.evaluation.data import Sequence
from lib.test.evaluation.job import Job, Outcome, Progress, track_and_save
from lib.test.evaluation.sharing import worker_device
from lib.test.tracker.load import make_tracker
from lib.utils.device import usable_cores

logger = logging.getLogger(__name__)

READY = ("", 0)  # what a worker sends first


@dataclass(frozen=True)
class Worker:
    """A process and the pipe to it."""

    process: BaseProcess
    pipe: Connection
    device: str
    batch: int  # sequences that it tracks at a time
    tracking: dict[str, Sequence] = field(default_factory=dict)  # by name


class Pool:
    """Workers, and the sequences that none of them has yet."""

    def __init__(self, job: Job, workers: int, progress: Progress) -> None:
        self.job, self.count, self.progress = job, workers, progress
        self._context = multiprocessing.get_context("spawn")
        self._queue: deque[Sequence] = deque()
        self._retries: deque[Sequence] = deque()  # for workers that track one at a time
        self._busy: dict[Connection, Worker] = {}
        self._died: set[str] = set()  # sequences during which a worker has died

    def run(self, todo: list[Sequence]) -> None:
        """Give sequences to workers until none is left."""
        self._queue.extend(todo)
        try:
            for index in range(self.count):
                device = worker_device(self.job.options, index, self.count)
                self._start(device, self.job.batch)
            while self._busy:
                ready = wait(list(self._busy))
                for worker in [w for pipe, w in self._busy.items() if pipe in ready]:
                    self._receive(worker)
        finally:
            for worker in self._busy.values():
                worker.process.terminate()

    def _start(self, device: str, batch: int) -> None:
        ours, theirs = self._context.Pipe()
        job = self.job._replace(options=replace(self.job.options, device=device), batch=batch)
        process = self._context.Process(
            target=_work, args=(job, theirs, self.count), daemon=True, name=f"tracking on {device}"
        )
        process.start()
        theirs.close()
        worker = self._busy[ours] = Worker(process, ours, device, batch)
        for _ in range(batch):  # set aside: if it dies before it is ready, these are tried again
            self._choose_next(worker)

    def _choose_next(self, worker: Worker) -> Sequence | None:
        """Choose a sequence for a worker, if any is left for it."""
        sequence = None
        if worker.batch == 1 and self._retries:
            sequence = self._retries.popleft()
        elif worker.batch == self.job.batch and self._queue:
            sequence = self._queue.popleft()
        if sequence is not None:
            worker.tracking[sequence.name] = sequence
        return sequence

    def _send(self, worker: Worker, sequence: Sequence | None) -> None:
        with contextlib.suppress(OSError):  # a worker that has died is noticed in _receive
            worker.pipe.send(sequence)

    def _receive(self, worker: Worker) -> None:
        try:
            name, message = worker.pipe.recv()
        except (EOFError, OSError):
            self._on_death(worker)
            return
        if (name, message) == READY:
            chosen = [*worker.tracking.values(), *[None] * worker.batch][: worker.batch]
            for sequence in chosen:
                self._send(worker, sequence)
            return
        if isinstance(message, int):
            self.progress.advance(worker.tracking[name], message)
            return
        self.progress.finish(worker.tracking.pop(name), message)
        self._send(worker, self._choose_next(worker))
        if not worker.tracking:
            self._retire(worker)

    def _on_death(self, worker: Worker) -> None:
        """Note the sequences of a worker that died; one that kills two has failed."""
        worker.process.join()
        reason = f"its worker process died ({_exit_text(worker.process.exitcode)})"
        for sequence in worker.tracking.values():
            self.progress.advance(sequence, 0)
            if sequence.name in self._died:
                self.progress.finish(sequence, f"{reason} for the second time")
            else:
                logger.warning("%s: %s; trying once more", sequence.name, reason)
                self._died.add(sequence.name)
                self._retries.append(sequence)
        self._retire(worker)

    def _retire(self, worker: Worker) -> None:
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
    names = {s.value: s.name for s in signal.Signals}
    return f"by {names.get(-code, f'signal {-code}')}"


def _work(job: Job, pipe: Connection, workers: int) -> None:
    """A worker process: one network, sequences from the pipe until there are no more."""
    threads = max(1, usable_cores() // workers)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch or ONNX Runtime is imported
    if torch := sys.modules.get("torch"):  # by the caller's own program
        torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    sequences = _receive_sequences(pipe)
    try:
        tracker = make_tracker(job.options)
    except Exception:
        reason = traceback.format_exc()
        pipe.send(READY)
        for sequence in sequences:
            pipe.send((sequence.name, reason))
        return

    def send(sequence: Sequence, message: int | Outcome) -> None:
        pipe.send((sequence.name, message))

    pipe.send(READY)
    for sequence, outcome in track_and_save(tracker, sequences, job, send):
        send(sequence, outcome)


def _receive_sequences(pipe: Connection) -> Iterator[Sequence]:
    """Sequences as they are sent, until there are no more or the parent is gone."""
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        yield from iter(pipe.recv, None)
