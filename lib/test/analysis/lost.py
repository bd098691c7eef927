"""Below which score is a target lost? Measured on results that have scores beside their boxes.

A frame is lost if the target is hidden, or if the box misses it: an overlap of LOST_OVERLAP or
less. The best threshold has the greatest balanced accuracy: the mean of the share of lost frames
that are below it and of the share of followed frames that are not.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.io.load_text import load_boxes, load_column
from lib.test.analysis.metrics import intersection_over_union
from lib.test.evaluation.base_set import TestSet
from lib.test.evaluation.data import Truth
from lib.test.evaluation.results import box_file, score_file, verified
from lib.utils.box_ops import has_area

LOST_OVERLAP = 0.1
THRESHOLDS = np.arange(101) / 100


class Frames(NamedTuple):
    """Scored frames, the first of each sequence left out."""

    scores: np.ndarray  # (n,) predicted IoU in [0, 1]
    lost: np.ndarray  # (n,) bool


class Threshold(NamedTuple):
    """A score, and how well it tells lost frames from others."""

    value: float
    found: float  # share of the lost frames whose score is below it
    kept: float  # share of the followed frames whose score is not

    @property
    def balanced(self) -> float:
        """Balanced accuracy: 0.5 is chance."""
        return (self.found + self.kept) / 2


def label_frames(truth: Truth, boxes_xywh: np.ndarray, scores: np.ndarray) -> Frames:
    """Say of each frame after the first whether the target was lost there.

    Frames whose annotation has no box, though the target is not marked hidden, are left out.
    `boxes_xywh` is (n, 4) in pixels of the image, `scores` (n,). ValueError: not as many boxes or
    scores as annotated frames.
    """
    boxes, annotated = len(boxes_xywh), len(truth.boxes_xywh)
    if not boxes == len(scores) == annotated:
        lengths = f"{boxes} boxes and {len(scores)} scores for {annotated} annotated frames"
        raise ValueError(f"{truth.name}: {lengths}")
    hidden = np.zeros(len(scores), bool) if truth.visible is None else ~truth.visible
    missed = intersection_over_union(boxes_xywh, np.nan_to_num(truth.boxes_xywh)) <= LOST_OVERLAP
    counts = (has_area(truth.boxes_xywh) | hidden) & (np.arange(len(scores)) > 0)
    return Frames(scores[counts], (hidden | missed)[counts])


def read_frames(annotations: TestSet, folder: Path) -> tuple[Frames, list[str]]:
    """Label the frames of all sequences of a test set that have results in a folder.

    Returns the frames, and what is wrong with sequences that are left out: no scores, as official
    results have none, a changed file, or see `label_frames`.

    Raises:
        FileNotFoundError: none has a result. ValueError: none can be used; says why.
    """
    names = [name for name in annotations.names if box_file(folder, name).is_file()]
    if not names:
        raise FileNotFoundError(f"{folder}: no result of any sequence of {annotations.dataset}")
    sequences, problems = [], []
    for name in names:
        try:
            boxes = load_boxes(verified(box_file(folder, name), name))
            scores = load_column(verified(score_file(folder, name), name))
            sequences.append(label_frames(annotations.truth(name), boxes, scores))
        except (OSError, ValueError) as error:
            problems.append(str(error))
    if not sequences:
        raise ValueError("\n".join(problems))
    return Frames(*map(np.concatenate, zip(*sequences, strict=True))), problems


def evaluate_thresholds(frames: Frames, values: Iterable[float] = THRESHOLDS) -> list[Threshold]:
    """How well each threshold tells the frames apart, in the order given.

    ValueError: no frame is lost, or none is not: there is nothing to tell apart.
    """
    lost = int(frames.lost.sum())
    if not 0 < lost < len(frames.lost):
        raise ValueError(f"{lost} of {len(frames.lost)} frames are lost: nothing to tell apart")
    below = [(value, frames.scores < value) for value in values]
    return [
        Threshold(float(value), float(b[frames.lost].mean()), float(1 - b[~frames.lost].mean()))
        for value, b in below
    ]


def best_threshold(thresholds: Sequence[Threshold]) -> Threshold:
    """The one of the greatest balanced accuracy; of equals, the middle one."""
    top = max(item.balanced for item in thresholds)
    equals = [item for item in thresholds if item.balanced >= top - 1e-12]
    return equals[len(equals) // 2]
