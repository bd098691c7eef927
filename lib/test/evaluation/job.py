"""A run: what its sequences have in common, how far it is, and tracking some of them."""

import logging
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from lib.cli.progress import progress
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.results import Provenance, ResultFolder
from lib.test.evaluation.tracker import SequenceRun, track_together
from lib.test.tracker import BatchTracker
from lib.test.tracker.options import TrackerOptions

REPORT_SECONDS = 0.5  # how often a sequence says how far it is

logger = logging.getLogger(__name__)

OnFrame = Callable[[np.ndarray, list[float], float], None]  # RGB image, box (xywh, pixels), score
OnProgress = Callable[[Sequence, int], None]  # a sequence, and how many of its frames are tracked
Outcome = float | str  # of a sequence: seconds of tracking, or why it has no result


class Job(NamedTuple):
    """What the sequences of a run have in common; picklable."""

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


@dataclass
class Summary:
    """How a run went."""

    finished_before: int  # sequences that already had a result of this provenance
    tracked: int = 0  # sequences
    frames: int = 0  # frames tracked in this run
    seconds: float = 0.0  # time spent on them, reading left out, summed over processes
    elapsed: float = 0.0  # seconds from start to end, loading the network and reading included
    failures: list[Failure] = field(default_factory=list)


class Progress:
    """The bar that a user watches, and the summary."""

    def __init__(self, sequences: list[Sequence], todo: list[Sequence]) -> None:
        self.summary = Summary(len(sequences) - len(todo))
        self._count = len(sequences)
        total = sum(len(s.frames) for s in todo)
        self._bar = progress(None, "tracking", total=total)
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

    def finish(self, sequence: Sequence, outcome: Outcome) -> None:
        """A sequence has its result on disk, or has failed."""
        if isinstance(outcome, float):
            self.advance(sequence, len(sequence.frames))
            self.summary.tracked += 1
            self.summary.frames += len(sequence.frames)
            self.summary.seconds += outcome
        else:
            logger.error("%s failed: %s", sequence.name, outcome.strip())
            self.summary.failures.append(Failure(sequence.name, outcome))
        self._update_text()

    def _update_text(self) -> None:
        done = f"{self.summary.finished_before + self.summary.tracked}/{self._count} sequences"
        failures = self.summary.failures
        self._bar.set_postfix_str(done + (f", {len(failures)} failed" if failures else ""))


def track_and_save(
    tracker: BatchTracker,
    sequences: Iterable[Sequence],
    job: Job,
    on_progress: OnProgress,
    on_frame: OnFrame | None = None,
) -> Iterator[tuple[Sequence, Outcome]]:
    """Track sequences, `job.batch` at a time, keep their results, and yield each as it ends.

    Args:
        tracker: the first of the batch.
        sequences: asked for the next one whenever a place is free.
        on_progress: called now and then.
        on_frame: called after each frame.
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
        outcome: Outcome
        try:
            result = run.result()
            job.folder.save(run.sequence.name, result, job.provenance)
            outcome = float(result.seconds.sum())
        except Exception:  # the boundary of a sequence: it is named and the others go on
            outcome = traceback.format_exc()
        yield run.sequence, outcome
