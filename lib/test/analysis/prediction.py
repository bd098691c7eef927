"""Bring a result file's boxes into the shape that every protocol starts from.

Kept: these rules, and their order, are part of the published figures.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def prepare(
    prediction_xywh: np.ndarray,
    truth_xywh: np.ndarray,
    bad_size: Callable[[np.ndarray], np.ndarray],
    *,
    pad: bool = True,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Match the annotation's length, mend boxes without a size, start from the true box.

    Args:
        prediction_xywh: (m, 4) pixels.
        truth_xywh: (n, 4) pixels, n >= 1, may hold NaN.
        bad_size: boxes (k, 4) -> (k,) bool, the rows that take the row before them, unless the
            annotation of that frame holds NaN.
        pad: fill a short prediction with empty boxes, which stay empty.

    Returns:
        boxes_xywh: (n, 4), a new array.
        notes: what was mended, in words.

    Raises:
        ValueError: the prediction is too short and `pad` is False; gives both lengths.
    """
    n, m = len(truth_xywh), len(prediction_xywh)
    if m < n and not pad:
        raise ValueError(f"the result has {m} boxes, the annotation {n}")
    given = min(m, n)
    bad = bad_size(prediction_xywh[:given]) & ~np.isnan(truth_xywh[:given]).any(axis=1)
    boxes = np.zeros((n, 4))
    boxes[:given] = carry_forward(prediction_xywh[:given], bad)
    boxes[0] = truth_xywh[0]
    return boxes, _notes(m, n, int(bad[1:].sum()), int(np.isnan(boxes[1:]).any(axis=1).sum()))


def carry_forward(boxes_xywh: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Replace each bad row by the row before it, in order; row 0 is never replaced.

    Args:
        boxes_xywh: (n, 4).
        bad: (n,) bool.
    """
    source = np.where(bad, 0, np.arange(len(boxes_xywh)))
    return boxes_xywh[np.maximum.accumulate(source)]


def lacks_area(boxes_xywh: np.ndarray) -> np.ndarray:
    """(n,) bool: a side is not positive, or NaN."""
    return ~(boxes_xywh[:, 2:] > 0).all(axis=1)


def has_zero_side(boxes_xywh: np.ndarray) -> np.ndarray:
    """(n,) bool: a side is exactly 0."""
    return (boxes_xywh[:, 2:] == 0).any(axis=1)


def _notes(length: int, expected: int, carried: int, nan_rows: int) -> tuple[str, ...]:
    """Say what was mended, and what cannot be a hit."""
    notes = []
    if length < expected:
        notes.append(f"{length} boxes for {expected} frames: padded with empty boxes")
    if length > expected:
        notes.append(f"{length} boxes for {expected} frames: the rest is cut off")
    if carried:
        notes.append(f"{carried} boxes without a size take the box before")
    if nan_rows:
        notes.append(f"{nan_rows} boxes hold NaN and count as misses")
    return tuple(notes)
