"""Run a tracker over a test set: in this process or in several, resumable, one network each.

Neighbours: tracker.py runs sequences, job.py keeps what came out, workers.py has the processes.
"""

import math
import time
from dataclasses import replace

from lib.test.evaluation.data import Sequence
from lib.test.evaluation.job import Job, OnFrame, Progress, Summary, track_and_save
from lib.test.evaluation.sharing import worker_device
from lib.test.evaluation.workers import Pool
from lib.test.tracker.load import make_tracker


def run_sequences(
    sequences: list[Sequence], job: Job, workers: int = 0, on_frame: OnFrame | None = None
) -> Summary:
    """Track every sequence that has no finished result yet, the longest first.

    Args:
        sequences: of one test set.
        job: its batch is made smaller where there are not as many sequences.
        workers: processes; 0 tracks in this one.
        on_frame: called with image, box, score after each frame; needs `workers` = 0.
    """
    start = time.monotonic()
    todo = [sequence for sequence in sequences if not job.is_finished(sequence)]
    todo.sort(key=lambda sequence: -len(sequence.frames))
    job = job._replace(batch=min(job.batch, math.ceil(len(todo) / max(workers, 1))))
    with Progress(sequences, todo) as progress:
        if todo and workers:
            Pool(job, min(workers, len(todo)), progress).run(todo)
        elif todo:
            _run_here(todo, job, progress, on_frame)
        _check_results(todo, job, progress)
    progress.summary.elapsed = time.monotonic() - start
    return progress.summary


def _check_results(tracked: list[Sequence], job: Job, progress: Progress) -> None:
    """Fail what was tracked and yet has no result, as after another run into the same folder."""
    failed = {failure.sequence for failure in progress.summary.failures}
    reason = (
        f"its result in {job.folder.path} is gone, or another run with other weights, recipe, "
        "code or device has replaced it; give each run a folder with --results"
    )
    for sequence in tracked:
        if sequence.name not in failed and not job.is_finished(sequence):
            progress.summary.tracked -= 1
            progress.finish(sequence, reason)


def _run_here(todo: list[Sequence], job: Job, progress: Progress, on_frame: OnFrame | None) -> None:
    device = worker_device(job.options, 0)
    tracker = make_tracker(replace(job.options, device=device))
    for sequence, outcome in track_and_save(tracker, todo, job, progress.advance, on_frame):
        progress.finish(sequence, outcome)
