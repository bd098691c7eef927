"""Track sequences: one, or several in lock-step through one network.

A free place in the batch is filled with the next sequence, so that it stays full until few are
left. The next frame of each sequence is read in a thread while the network works, so two of its
frames are in memory at a time. Neighbours: lib/test/tracker makes the step, job.py keeps results.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

import numpy as np

from lib.io.video_file import read_frame
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.results import SequenceResult
from lib.test.tracker import BatchTracker, Output


class SequenceRun:
    """A sequence on its way through a tracker, and what came out so far."""

    def __init__(self, sequence: Sequence, tracker: BatchTracker, pool: Executor) -> None:
        """Start reading the first frame. pool: threads that read."""
        self.sequence, self.tracker = sequence, tracker
        self.outputs: list[Output] = []
        self.failure: Exception | None = None
        self.ahead: Future[np.ndarray] | None = None  # the next frame
        self._seconds: list[float] = []
        self._pool = pool
        self._read_ahead(0)

    @property
    def ended(self) -> bool:
        """True if all frames are tracked, or one has failed."""
        return self.failure is not None or len(self.outputs) == len(self.sequence.frames)

    def result(self) -> SequenceResult:
        """What the tracker said.

        Raises:
            FileNotFoundError, ImageError: a frame that cannot be read; names it.
            ValueError: the first box is not one to start on.
            Exception: whatever else went wrong.
        """
        if self.failure is not None:
            raise self.failure
        boxes, scores = zip(*self.outputs, strict=True)
        return SequenceResult(
            np.array(boxes, np.float64), np.array(scores), np.array(self._seconds)
        )

    def start(self) -> np.ndarray:
        """Initialise the tracker on the first frame, and return that."""
        image = self.ahead.result()
        start = time.perf_counter()
        self.tracker.initialize(image, self.sequence.init_box)
        self.add(Output(self.sequence.init_box, 1.0), time.perf_counter() - start)
        self._read_ahead(1)
        return image

    def crop_search_region(self) -> tuple[np.ndarray, object]:
        """Return the next frame and what the tracker takes from it; start reading the one after."""
        image = self.ahead.result()
        view = self.tracker.crop_search_region(image)
        self._read_ahead(len(self.outputs) + 1)
        return image, view

    def add(self, output: Output, seconds: float) -> None:
        """Note what was found in a frame, and the time that it took."""
        self.outputs.append(output)
        self._seconds.append(seconds)

    @contextmanager
    def boundary(self) -> Iterator[None]:
        """Whatever goes wrong in the block ends this sequence, and the others go on."""
        try:
            yield
        except Exception as error:
            self.failure = error

    def _read_ahead(self, index: int) -> None:
        """Read a frame in a thread, if there is one of that number."""
        frames = self.sequence.frames
        self.ahead = self._pool.submit(read_frame, frames[index]) if index < len(frames) else None


OnFrame = Callable[[SequenceRun, np.ndarray], None]


def run_sequence(tracker: BatchTracker, sequence: Sequence) -> SequenceResult:
    """Track through a sequence from its first box.

    Raises:
        Exception: see `SequenceRun.result`.
    """
    (run,) = track_together([tracker], [sequence])
    return run.result()


def track_together(
    trackers: list[BatchTracker],
    sequences: Iterable[Sequence],
    on_frame: OnFrame | None = None,
) -> Iterator[SequenceRun]:
    """Track sequences from their first boxes, as many at a time as there are trackers.

    A sequence that fails does so alone. The time of a frame is that of its step, reading left out,
    over the number of sequences in that step.

    Args:
        trackers: sharing a network (`BatchTracker.for_new_target`).
        sequences: asked for the next one whenever a tracker is free.
        on_frame: called after each frame of each sequence with the run and the RGB image.

    Yields:
        Each sequence's run when it has ended, before the next one is asked for.
    """
    free, waiting = list(trackers), iter(sequences)
    runs: list[SequenceRun] = []
    with ThreadPoolExecutor(min(len(trackers), os.cpu_count() or 1)) as pool:
        while True:
            new = []
            while free and (sequence := next(waiting, None)) is not None:
                new.append(SequenceRun(sequence, free.pop(), pool))
            for run in new:
                with run.boundary():
                    _tell(on_frame, run, run.start())
            runs += new
            if not runs:
                return
            _step([run for run in runs if not run.ended], pool, on_frame)
            for run in [run for run in runs if run.ended]:
                runs.remove(run)
                free.append(run.tracker)
                yield run


def _step(runs: list[SequenceRun], pool: Executor, on_frame: OnFrame | None) -> None:
    """Track the next frame of each sequence."""
    wait([run.ahead for run in runs])
    start = time.perf_counter()
    seen = []
    for run, looked in [(run, pool.submit(run.crop_search_region)) for run in runs]:
        with run.boundary():
            seen.append((run, *looked.result()))
    if not seen:
        return
    try:
        outputs = seen[0][0].tracker.track_batch(
            [run.tracker for run, *_ in seen], [s[2] for s in seen]
        )
    except Exception as error:  # of the joint step, and so of each sequence in it
        for run, *_ in seen:
            run.failure = error
        return
    seconds = (time.perf_counter() - start) / len(seen)
    for (run, image, _), output in zip(seen, outputs, strict=True):
        with run.boundary():
            run.add(output, seconds)
            _tell(on_frame, run, image)


def _tell(on_frame: OnFrame | None, run: SequenceRun, image: np.ndarray) -> None:
    if on_frame is not None:
        on_frame(run, image)
