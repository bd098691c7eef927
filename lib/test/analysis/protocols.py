"""The scoring protocols, as pure functions: one sequence's boxes and truth in, its curves out.

Kept: the rules of the published evaluations and their order, checked against the published result
files. The arithmetic is in `metrics.py`; `extract_results.py` applies this to whole data sets.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lib.test.analysis import metrics
from lib.test.evaluation.data import LARGEST, Truth

LASOT_LIKE = ("lasot", "lasot_ext")
MISS = [[-1], [np.inf], [np.inf]]  # as `_compare` gives; outside every threshold
DEFAULT_PROTOCOL = {"lasot": "lasot", "lasot_ext": "lasot", "got10k_val": "got10k"}
DEFAULT_PROTOCOL |= dict.fromkeys(("own", "demo"), "otb_strict")  # no published quirks to keep


class SequenceScore(NamedTuple):
    """The curves of one sequence, shares in [0, 1]."""

    success: np.ndarray  # (21,) at metrics.SUCCESS_THRESHOLDS
    precision: np.ndarray  # (51,) at metrics.PRECISION_THRESHOLDS; NaN where not defined
    normalised_precision: np.ndarray  # (51,) at metrics.NORMALISED_THRESHOLDS; NaN: not defined
    average_overlap: float  # mean IoU; an invalid frame adds 0
    frames: int  # the denominator
    notes: tuple[str, ...] = ()  # what was fixed in the prediction, for the user


def score(protocol: str, prediction_xywh: np.ndarray, truth: Truth) -> SequenceScore:
    """Score the boxes of one sequence.

    Args:
        protocol: a key of PROTOCOLS.
        prediction_xywh: (m, 4) pixels, one row per frame; m may differ from the annotation's n.
        truth: annotation and flags.

    Raises:
        ValueError: unknown protocol, empty annotation or flags that do not match it, no frame
            counts, a prediction too short (`lasot`), no image size (`got10k`).
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"unknown protocol {protocol!r}; there are {', '.join(PROTOCOLS)}")
    n = len(truth.boxes_xywh)
    try:
        if n == 0:
            raise ValueError("the annotation is empty")
        if truth.visible is not None and len(truth.visible) != n:
            raise ValueError(f"{len(truth.visible)} visibility flags for {n} boxes")
        return PROTOCOLS[protocol](np.asarray(prediction_xywh, np.float64), truth)
    except ValueError as error:
        raise ValueError(f"{truth.name}: {error}") from None


def default_protocol(dataset: str) -> str:
    """The protocol of a data set's published figures; without any, the one without quirks."""
    return DEFAULT_PROTOCOL.get(dataset, "otb")


def score_lasot(prediction_xywh: np.ndarray, truth: Truth) -> SequenceScore:
    """As the official LaSOT toolkit: absent frames are misses, all frames are counted."""
    boxes, notes = _prepare(prediction_xywh, truth.boxes_xywh, _lacks_size, pad=False)
    visible = _visible(truth)
    annotated = truth.boxes_xywh[visible]
    valid = (annotated > 0).all(axis=1)
    # Kept: x or y of 0 makes a frame invalid, and -1 lies within every distance threshold.
    errors = _compare(boxes[visible], annotated)
    errors[:, ~valid] = -1
    return _curves(errors, len(boxes), notes)


def score_otb(prediction_xywh: np.ndarray, truth: Truth) -> SequenceScore:
    """As the python evaluations: shares of the valid frames, with their kept quirks."""
    boxes, notes = _prepare(prediction_xywh, truth.boxes_xywh, _has_zero_side)
    visible = _visible(truth)
    valid = ~_lacks_size(truth.boxes_xywh) & visible
    errors = _compare(boxes, truth.boxes_xywh)
    # Kept: a -1 is within every threshold, so a share can pass 1 where frames are invalid.
    errors[:, ~valid] = [[-1], [-1 if truth.dataset == "uav" else np.inf], [-1]]
    if truth.dataset in LASOT_LIKE:
        errors[:, ~visible] = MISS
    return _curves(errors, int(valid.sum()), notes)


def score_otb_strict(prediction_xywh: np.ndarray, truth: Truth) -> SequenceScore:
    """`otb` without its quirk: invalid frames are misses everywhere."""
    boxes, notes = _prepare(prediction_xywh, truth.boxes_xywh, _has_zero_side)
    valid = ~_lacks_size(truth.boxes_xywh) & _visible(truth)
    errors = _compare(boxes, truth.boxes_xywh)
    errors[:, ~valid] = MISS
    return _curves(errors, int(valid.sum()), notes)


def score_got10k(prediction_xywh: np.ndarray, truth: Truth) -> SequenceScore:
    """As GOT-10k: mean overlap of the visible frames after the first, clipped to the image."""
    if truth.image_size is None:
        raise ValueError("the got10k protocol needs the image size, none is known")
    boxes, notes = _prepare(prediction_xywh, truth.boxes_xywh, _has_zero_side)
    counts = _visible(truth)
    counts[0] = False
    iou = metrics.intersection_over_union(
        metrics.clip_to_image(boxes[counts], *truth.image_size),
        metrics.clip_to_image(truth.boxes_xywh[counts], *truth.image_size),
    )
    result = _curves(np.stack([iou, iou, iou]), len(iou), notes)
    no_curve = np.full(len(metrics.PRECISION_THRESHOLDS), np.nan)
    return result._replace(precision=no_curve, normalised_precision=no_curve)


PROTOCOLS: dict[str, Callable[[np.ndarray, Truth], SequenceScore]] = {
    "lasot": score_lasot,
    "otb": score_otb,
    "otb_strict": score_otb_strict,
    "got10k": score_got10k,
}


def carry_forward(boxes_xywh: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Replace each `bad` (n,) row of (n, 4) by the row before it, in order; row 0 always stays."""
    source = np.where(bad, 0, np.arange(len(boxes_xywh)))
    return boxes_xywh[np.maximum.accumulate(source)]


def _prepare(
    prediction_xywh: np.ndarray,
    truth_xywh: np.ndarray,
    bad_size: Callable[[np.ndarray], np.ndarray],
    *,
    pad: bool = True,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Match the annotation's length, fix boxes without a size, start from the true box.

    Args:
        prediction_xywh, truth_xywh: (m, 4) and (n, 4) pixels, n >= 1; the truth may hold NaN.
        bad_size: boxes (k, 4) -> (k,) bool, the rows that take the row before them, unless the
            annotation of that frame holds NaN.
        pad: fill a short prediction with empty boxes, which stay empty; otherwise refuse it.

    Returns:
        New boxes (n, 4); what was fixed, and what cannot be a hit, in words.
    """
    n, m = len(truth_xywh), len(prediction_xywh)
    if m < n and not pad:
        raise ValueError(f"the result has {m} boxes, the annotation {n}")
    predicted = prediction_xywh[:n]
    bad = bad_size(predicted) & ~np.isnan(truth_xywh[:m]).any(axis=1)
    boxes = np.zeros((n, 4))
    boxes[:m] = carry_forward(predicted, bad)
    boxes[0] = truth_xywh[0]
    carried, nan_rows = int(bad[1:].sum()), int(np.isnan(boxes[1:]).any(axis=1).sum())
    huge = int((np.abs(predicted[1:]) > LARGEST).any(axis=1).sum())
    negative = int((predicted[1:, 2:] < 0).any(axis=1).sum())
    notes = {
        f"{m} boxes for {n} frames: padded with empty boxes": m < n,
        f"{m} boxes for {n} frames: the rest is cut off": m > n,
        f"{carried} boxes without a size are replaced by the box before": carried,
        f"{nan_rows} boxes hold NaN and count as misses": nan_rows,
        f"{huge} boxes hold infinity or more than {LARGEST:g} pixels": huge,
        f"{negative} boxes have a negative size": negative,
    }
    return boxes, tuple(note for note, applies in notes.items() if applies)


def _lacks_size(boxes_xywh: np.ndarray) -> np.ndarray:
    """(n,) bool: a side is not positive, or NaN."""
    return ~((boxes_xywh[:, 2] > 0) & (boxes_xywh[:, 3] > 0))


def _has_zero_side(boxes_xywh: np.ndarray) -> np.ndarray:
    """(n,) bool: a side is exactly 0."""
    return (boxes_xywh[:, 2] == 0) | (boxes_xywh[:, 3] == 0)


def _visible(truth: Truth) -> np.ndarray:
    """(n,) bool, a new array; all True when the benchmark has no flags."""
    n = len(truth.boxes_xywh)
    return np.ones(n, bool) if truth.visible is None else np.array(truth.visible, bool)


def _compare(boxes: np.ndarray, annotated: np.ndarray) -> np.ndarray:
    """IoU, centre error in pixels and in target sizes of each frame, (3, n)."""
    iou = metrics.intersection_over_union(boxes, annotated)
    return np.stack([iou, *metrics.centre_errors(boxes, annotated)])


def _curves(errors: np.ndarray, frames: int, notes: tuple[str, ...]) -> SequenceScore:
    """Count hits of `errors` (3, n) at every threshold and divide by `frames`."""
    if frames == 0:
        raise ValueError("no frame can be scored: the target is invisible or has no size in all")
    iou, distance, normalised = errors
    return SequenceScore(
        metrics.share_above(iou, metrics.SUCCESS_THRESHOLDS, frames),
        metrics.share_within(distance, metrics.PRECISION_THRESHOLDS, frames),
        metrics.share_within(normalised, metrics.NORMALISED_THRESHOLDS, frames),
        average_overlap=float(np.nansum(np.maximum(iou, 0)) / frames),
        frames=frames,
        notes=notes,
    )
