"""Run a tracker over one sequence."""

import time
from collections.abc import Callable

import numpy as np

from lib.test.evaluation.data import Sequence
from lib.test.evaluation.results import SequenceResult
from lib.test.tracker import BaseTracker
from lib.utils.image import read_rgb


def run_sequence(
    tracker: BaseTracker,
    sequence: Sequence,
    on_frame: Callable[[np.ndarray, list[float], float], None] | None = None,
) -> SequenceResult:
    """Track through a sequence from its first box.

    Args:
        tracker: as lib/test/tracker/basetracker.py describes.
        sequence: frames on disk.
        on_frame: called after each frame with its RGB image, box (xywh, image pixels) and score.

    Raises:
        FileNotFoundError, ImageError: a frame that cannot be read; names it.
        ValueError: the first box is not one to start on.
    """
    boxes, scores, seconds = [], [], []
    for index, path in enumerate(sequence.frames):
        image = read_rgb(path)
        start = time.perf_counter()
        if index == 0:
            tracker.initialize(image, sequence.init_box)
            box, score = sequence.init_box, 1.0
        else:
            box, score = tracker.track(image)
        boxes.append(box)
        scores.append(score)
        seconds.append(time.perf_counter() - start)
        if on_frame is not None:
            on_frame(image, box, score)
    return SequenceResult(np.array(boxes, np.float64), np.array(scores), np.array(seconds))
