"""Overlap, centre errors and curves: pure functions on arrays, no files and no data sets.

Which frames count and what an invalid frame is worth is decided in `protocols.py`.
Letters: n frames, t thresholds. Boxes are xywh in pixels of the image.
"""

import numpy as np

from lib.utils.box_ops import intersection_area

# Each threshold is the float nearest to k/20 (k/100), so that a ratio such as 3/20 is on it.
SUCCESS_THRESHOLDS = np.arange(21) / 20
PRECISION_THRESHOLDS = np.arange(51, dtype=np.float64)
NORMALISED_THRESHOLDS = np.arange(51) / 100

# Predictions may be at or near infinity, and an annotated size 0: such frames are no hits.
quiet = np.errstate(divide="ignore", over="ignore", invalid="ignore")


@quiet
def intersection_over_union(a_xywh: np.ndarray, b_xywh: np.ndarray) -> np.ndarray:
    """Continuous IoU of paired boxes (n, 4); a negative size counts as 0.

    Returns (n,) in [0, 1]; 0 where neither box has an area, NaN where a box holds NaN.
    """
    a_size, b_size = np.maximum(a_xywh[:, 2:], 0), np.maximum(b_xywh[:, 2:], 0)
    a_xyxy = np.hstack([a_xywh[:, :2], a_xywh[:, :2] + a_size])
    b_xyxy = np.hstack([b_xywh[:, :2], b_xywh[:, :2] + b_size])
    intersection = intersection_area(a_xyxy, b_xyxy)
    # Areas from widths and heights: differences of corners would round otherwise.
    union = a_size[:, 0] * a_size[:, 1] + b_size[:, 0] * b_size[:, 1] - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union != 0)


def centre(box_xywh: np.ndarray) -> np.ndarray:
    """Centre (n, 2) in pixels, counting pixels: a box of width 1 at x has its centre at x."""
    return box_xywh[:, :2] + (box_xywh[:, 2:] - 1) / 2


@quiet
def centre_errors(
    prediction_xywh: np.ndarray, truth_xywh: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distance of the centres: (n,) in pixels, (n,) in units of the annotated width and height.

    Kept: each centre is divided before the difference is taken, as the published toolkits do;
    frames that lie exactly on a threshold fall to the other side otherwise.
    """
    predicted, annotated, size = centre(prediction_xywh), centre(truth_xywh), truth_xywh[:, 2:]
    return _length(predicted - annotated), _length(predicted / size - annotated / size)


def share_above(values: np.ndarray, thresholds: np.ndarray, frames: int) -> np.ndarray:
    """Share (t,) of `frames` whose value (n,) is strictly above each threshold (t,), ascending."""
    numbers = np.sort(values[~np.isnan(values)])
    # searchsorted(right) counts values <= threshold.
    return (len(numbers) - np.searchsorted(numbers, thresholds, side="right")) / frames


def share_within(values: np.ndarray, thresholds: np.ndarray, frames: int) -> np.ndarray:
    """Share (t,) of `frames` whose value (n,) is at most each threshold (t,), ascending."""
    numbers = np.sort(values[~np.isnan(values)])
    return np.searchsorted(numbers, thresholds, side="right") / frames


@quiet
def clip_to_image(box_xywh: np.ndarray, width: int, height: int) -> np.ndarray:
    """The part (n, 4) of each box (n, 4) inside an image of width x height pixels; may be empty."""
    limits = np.array([width, height], dtype=np.float64)
    top_left = np.clip(box_xywh[:, :2], 0, limits)
    bottom_right = np.clip(box_xywh[:, :2] + box_xywh[:, 2:], 0, limits)
    return np.hstack([top_left, np.maximum(bottom_right - top_left, 0)])


def _length(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(vectors[:, 0] ** 2 + vectors[:, 1] ** 2)
