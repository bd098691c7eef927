"""A run: what its sequences have in common, how far it is, and tracking some of them.

Used by running.py in its own process and by workers.py in others.
"""

import logging
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from lib.test.evaluation.data import Sequence
from lib.test.evaluation.results import Provenance, ResultFolder
from lib.test.evaluation.tracker import SequenceRun, track_together
from lib.test.tracker import BatchTracker
from lib.test.tracker.options import TrackerOptions

REPORT_SECONDS = 0.5  # how often a sequence says how far it is

logger = logging.getLogger(__name__)

OnFrame = Callable[[np.ndarray, list[float], float], None]  # RGB image, box (xywh, pixels), score
OnProgress = Callable[[Sequence, int], None]  # a sequence, and how many of its frames are tracked


class Job(NamedTuple):
    """Everything that the sequences of a run have in common; picklable."""

    options: TrackerOptions
    folder: ResultFolder
    provenance: Provenance
    batch: int = 1  # sequences in lock-step through one network

    def is_finished(self, sequence: Sequence) -> bool:
        """True if a sequence has its result."""
        return self.folder.is_finished(sequence.name, len(sequence.frames), self.provenance)


class Failure(NamedTuple):
    """A sequence without a result."""

    sequence: str
    reason: str  # a traceback, or one line


class Done(NamedTuple):
    """A sequence has its result on disk."""

    frames: int
    seconds: float


class Progress:
    """The bar that a user watches, and what the summary counts."""

    def __init__(self, sequences: list[Sequence], todo: list[Sequence]) -> None:
        self.done, self.frames, self.seconds = 0, 0, 0.0
        self.failures: list[Failure] = []
        self._skipped, self._sequences = len(sequences) - len(todo), len(sequences)
        total = sum(len(s.frames) for s in todo)
        self._bar = tqdm(total=total, unit="frame", disable=not todo, smoothing=0.05)
        self._tracked: dict[str, int] = {}  # frames of each sequence
        self._update_text()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance(self, sequence: Sequence, frame: int) -> None:
        """Frames 0..frame-1 of a sequence are tracked."""
        self._bar.update(frame - self._tracked.get(sequence.name, 0))
        self._tracked[sequence.name] = frame

    def finish(self, sequence: Sequence, outcome: Done | str) -> None:
        """A sequence is finished, or has failed for a reason."""
        if isinstance(outcome, Done):
            self.advance(sequence, len(sequence.frames))
            self.done += 1
            self.frames += outcome.frames
            self.seconds += outcome.seconds
        else:
            logger.error("%s failed: %s", sequence.name, outcome.strip())
            self.failures.append(Failure(sequence.name, outcome))
        self._update_text()

    def mark_failed(self, sequence: Sequence, reason: str) -> None:
        """A sequence that was finished has failed after all."""
        self.done -= 1
        self.finish(sequence, reason)

    def _update_text(self) -> None:
        done = f"{self._skipped + self.done}/{self._sequences} sequences"
        failed = f", {len(self.failures)} failed" if self.failures else ""
        self._bar.set_postfix_str(done + failed)


def track_and_save(
    tracker: BatchTracker,
    sequences: Iterable[Sequence],
    job: Job,
    on_progress: OnProgress,
    on_frame: OnFrame | None = None,
) -> Iterator[tuple[Sequence, Done | str]]:
    """Track sequences, `job.batch` at a time, and keep their results.

    Args:
        tracker: the first of the batch.
        sequences: asked for the next one whenever a place is free.
        on_progress: called now and then.
        on_frame: called after each frame.

    Yields:
        Each sequence as it ends; with a traceback if it has failed.
    """
    reported: dict[str, float] = {}  # when each sequence last said how far it is

    def report(run: SequenceRun, image: np.ndarray) -> None:
        if on_frame is not None:
            on_frame(image, *run.outputs[-1])
        now = time.monotonic()
        if now - reported.setdefault(run.sequence.name, now) > REPORT_SECONDS:
            reported[run.sequence.name] = now
            on_progress(run.sequence, len(run.outputs))

    trackers = [tracker, *(tracker.for_new_target() for _ in range(job.batch - 1))]
    for run in track_together(trackers, sequences, report):
        yield run.sequence, _save(run, job)


def _save(run: SequenceRun, job: Job) -> Done | str:
    """Keep a sequence's result; a traceback if it has none, or cannot be written."""
    try:
        result = run.result()
        job.folder.save(run.sequence.name, result, job.provenance)
    except Exception:  # the boundary of a sequence: it is named and the others go on
        return traceback.format_exc()
    return Done(len(result.seconds), float(result.seconds.sum()))
