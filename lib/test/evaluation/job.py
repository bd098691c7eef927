"""What the sequences of a run have in common, and tracking some of them with one network.

Used by running.py in its own process and by workers.py in others.
"""

import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from lib.test.evaluation.data import Sequence
from lib.test.evaluation.progress import Done
from lib.test.evaluation.results import Provenance, ResultFolder
from lib.test.evaluation.tracker import SequenceRun, track_together
from lib.test.tracker import BatchTracker
from lib.test.tracker.options import TrackerOptions

REPORT_SECONDS = 0.5  # how often a sequence says how far it is

OnFrame = Callable[[np.ndarray, list[float], float], None]  # RGB image, box (xywh, pixels), score


class Job(NamedTuple):
    """Everything that the sequences of a run have in common; picklable."""

    options: TrackerOptions
    folder: ResultFolder
    provenance: Provenance
    batch: int = 1  # sequences in lock-step through one network


class Ended(NamedTuple):
    """A sequence that needs no further work."""

    sequence: Sequence
    outcome: Done | str  # or why there is no result


def track_and_save(
    tracker: BatchTracker,
    sequences: Iterable[Sequence],
    job: Job,
    tell: Callable[[Sequence, int], None],
    also: OnFrame | None = None,
) -> Iterator[Ended]:
    """Track sequences, `job.batch` at a time, and keep their results.

    Args:
        tracker: the first of the batch.
        sequences: asked for the next one whenever a place is free.
        tell: called now and then with a sequence and how many of its frames are tracked.
        also: called after each frame.

    Yields:
        Each sequence as it ends; a traceback if it has failed.
    """
    trackers = [tracker, *(tracker.for_new_target() for _ in range(job.batch - 1))]
    for run in track_together(trackers, sequences, _Reporter(tell, also)):
        yield Ended(run.sequence, _save(run, job))


class _Reporter:
    """Tells now and then how far each sequence is."""

    def __init__(self, tell: Callable[[Sequence, int], None], also: OnFrame | None) -> None:
        self._tell, self._also = tell, also
        self._told: dict[str, float] = {}

    def __call__(self, run: SequenceRun, image: np.ndarray) -> None:
        if self._also is not None:
            self._also(image, *run.outputs[-1])
        now = time.monotonic()
        if now - self._told.setdefault(run.sequence.name, now) > REPORT_SECONDS:
            self._told[run.sequence.name] = now
            self._tell(run.sequence, len(run.outputs))


def _save(run: SequenceRun, job: Job) -> Done | str:
    """Keep a sequence's result; a traceback if it has none, or cannot be written."""
    try:
        result = run.result()
        job.folder.save(run.sequence.name, result, job.provenance)
    except Exception:  # the boundary of a sequence: it is named and the others go on
        return traceback.format_exc()
    return Done(len(result.seconds), float(result.seconds.sum()))
