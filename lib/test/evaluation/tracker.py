"""Track sequences: one, or several in lock-step through one network.

The next frame of each sequence is read in a thread while the network works, so two of its frames
are in memory at a time.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import numpy as np

from lib.io.box_doubts import doubt_boxes
from lib.io.video_file import read_frame
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.results import SequenceResult
from lib.test.tracker import BatchTracker, Output
from lib.utils.device import usable_cores

logger = logging.getLogger(__name__)


class SequenceRun:
    """A sequence on its way through a tracker, and what came out so far."""

    def __init__(self, sequence: Sequence, tracker: BatchTracker, pool: Executor) -> None:
        self.sequence, self.tracker = sequence, tracker
        self.outputs: list[Output] = []
        self.failure: Exception | None = None
        self.next_frame: Future[np.ndarray] = pool.submit(read_frame, sequence.frames[0])
        self._seconds: list[float] = []
        self._pool = pool

    @property
    def ended(self) -> bool:
        """True if all frames are tracked, or one has failed."""
        return self.failure is not None or len(self.outputs) == len(self.sequence.frames)

    def result(self) -> SequenceResult:
        """What the tracker found; raises whatever went wrong, as with a frame or the first box."""
        if self.failure is not None:
            raise self.failure
        boxes, scores = zip(*self.outputs, strict=True)
        boxes_xywh = np.array(boxes, np.float64)
        return SequenceResult(boxes_xywh, np.array(scores), np.array(self._seconds))

    def start(self) -> np.ndarray:
        """Initialize the tracker on the first frame, and return that."""
        image = self._take_frame()
        if doubt := doubt_boxes(self.sequence.boxes_xywh, image.shape[1], image.shape[0]):
            logger.warning("%s: %s", self.sequence.name, doubt)
        start = time.perf_counter()
        self.tracker.initialize(image, self.sequence.init_box)
        self.add(Output(self.sequence.init_box, 1.0), time.perf_counter() - start)
        return image

    def crop_search_region(self) -> tuple[np.ndarray, Any]:
        """Return the next frame and what the tracker takes from it."""
        image = self._take_frame()
        return image, self.tracker.crop_search_region(image)

    def add(self, output: Output, seconds: float) -> None:
        self.outputs.append(output)
        self._seconds.append(seconds)

    @contextmanager
    def boundary(self) -> Iterator[None]:
        """Whatever goes wrong in the block ends this sequence, and the others go on."""
        try:
            yield
        except Exception as error:
            self.failure = error

    def _take_frame(self) -> np.ndarray:
        """Return the frame that is read ahead, and start reading the one after it."""
        image, self.next_frame = self.next_frame.result(), Future()  # let go of the last image
        if (following := len(self.outputs) + 1) < len(self.sequence.frames):
            self.next_frame = self._pool.submit(read_frame, self.sequence.frames[following])
        return image


OnFrame = Callable[[SequenceRun, np.ndarray], None]


def run_sequence(tracker: BatchTracker, sequence: Sequence) -> SequenceResult:
    """Track through a sequence from its first box; raises as `SequenceRun.result` does."""
    (run,) = track_together([tracker], [sequence])
    return run.result()


def track_together(
    trackers: list[BatchTracker], sequences: Iterable[Sequence], on_frame: OnFrame | None = None
) -> Iterator[SequenceRun]:
    """Track sequences from their first boxes, as many at a time as there are trackers.

    Yields each run when it has ended, before the next sequence is asked for; one that fails does so
    alone. The time of a frame is its share of its step's, reading left out.

    Args:
        trackers: sharing a network (`BatchTracker.for_new_target`).
        sequences: asked for the next one whenever a tracker is free.
        on_frame: called after each frame of each sequence with the run and the RGB image.
    """
    on_frame = on_frame or (lambda run, image: None)
    free, waiting = list(trackers), iter(sequences)
    runs: list[SequenceRun] = []
    with ThreadPoolExecutor(min(len(trackers), usable_cores())) as pool:
        while True:
            # Fill free places.
            new = []
            while free and (sequence := next(waiting, None)) is not None:
                new.append(SequenceRun(sequence, free.pop(), pool))
            for run in new:
                with run.boundary():
                    on_frame(run, run.start())
            runs += new
            if not runs:
                return
            # Track a frame of each, and pass on those that have ended.
            _step([run for run in runs if not run.ended], pool, on_frame)
            for run in [run for run in runs if run.ended]:
                runs.remove(run)
                free.append(run.tracker)
                yield run


def _step(runs: list[SequenceRun], pool: Executor, on_frame: OnFrame) -> None:
    wait([run.next_frame for run in runs])
    start = time.perf_counter()
    # Crop in threads; a frame that cannot be read ends its own sequence only.
    cropped = []
    for run, crop in [(run, pool.submit(run.crop_search_region)) for run in runs]:
        with run.boundary():
            cropped.append((run, *crop.result()))
    if not cropped:
        return
    try:
        outputs = cropped[0][0].tracker.track_batch(
            [run.tracker for run, _, _ in cropped], [region for _, _, region in cropped]
        )
    except Exception as error:  # of the joint step, and so of each sequence in it
        for run, _, _ in cropped:
            run.failure = error
        return
    seconds = (time.perf_counter() - start) / len(cropped)
    for (run, image, _), output in zip(cropped, outputs, strict=True):
        with run.boundary():
            run.add(output, seconds)
            on_frame(run, image)
