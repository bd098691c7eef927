"""The scoring protocols, as pure functions: one sequence's boxes and truth in, its curves out.

Kept: the rules of the published evaluations, checked against the published result files.
The arithmetic is in `metrics.py`; `extract_results.py` applies this to whole data sets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lib.test.analysis import metrics
from lib.test.analysis.prediction import has_zero_side, lacks_area, prepare
from lib.test.evaluation.data import Truth


class SequenceScore(NamedTuple):
    """The curves of one sequence, shares in [0, 1]."""

    success: np.ndarray  # (21,) at metrics.SUCCESS_THRESHOLDS
    precision: np.ndarray  # (51,) at metrics.PRECISION_THRESHOLDS; NaN where not defined
    normalised: np.ndarray  # (51,) at metrics.NORMALISED_THRESHOLDS; NaN where not defined
    average_overlap: float  # mean IoU; an invalid frame adds 0
    frames: int  # the denominator
    notes: tuple[str, ...] = ()  # what was mended in the prediction, for the user


class _Errors(NamedTuple):
    """Per-frame values (n,) after the protocol's substitutions."""

    iou: np.ndarray
    distance: np.ndarray
    normalised: np.ndarray


def score(protocol: str, prediction_xywh: np.ndarray, truth: Truth) -> SequenceScore:
    """Score the boxes of one sequence.

    Args:
        protocol: a key of PROTOCOLS.
        prediction_xywh: (m, 4) pixels, one row a frame; m may differ from the annotation's n.
        truth: annotation and flags.

    Raises:
        ValueError: the protocol is unknown, the annotation is empty or its flags do not match
            it, no frame counts, the prediction is too short (`lasot`), or there is no image
            size (`got10k`).
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"unknown protocol {protocol!r}; there are {', '.join(PROTOCOLS)}")
    _check_truth(truth)
    try:
        return PROTOCOLS[protocol](np.asarray(prediction_xywh, np.float64), truth)
    except ValueError as error:
        raise ValueError(f"{truth.name}: {error}") from None


def score_lasot(prediction_xywh: np.ndarray, truth: Truth) -> SequenceScore:
    """As the official LaSOT toolkit: absent frames are misses, all frames are counted."""
    boxes, notes = prepare(prediction_xywh, truth.boxes_xywh, lacks_area, pad=False)
    kept = _visible(truth)
    annotated = truth.boxes_xywh[kept]
    valid = (annotated > 0).all(axis=1)
    # Kept: x or y of 0 makes a frame invalid, and -1 lies within every distance threshold.
    errors = _substitute(_compare(boxes[kept], annotated), ~valid, -1.0, -1.0)
    return _curves(errors, len(boxes), notes)


def score_otb(prediction_xywh: np.ndarray, truth: Truth) -> SequenceScore:
    """As the python evaluations: shares of the valid frames, with their kept quirks."""
    boxes, notes = prepare(prediction_xywh, truth.boxes_xywh, has_zero_side)
    visible = _visible(truth)
    valid = ~lacks_area(truth.boxes_xywh) & visible
    # Kept: a -1 is within every threshold, so a share can pass 1 where frames are invalid.
    distance = -1.0 if truth.dataset == "uav" else np.inf
    errors = _substitute(_compare(boxes, truth.boxes_xywh), ~valid, distance, -1.0)
    if truth.dataset in LASOT_LIKE:
        errors = _substitute(errors, ~visible, np.inf, np.inf)
    return _curves(errors, int(valid.sum()), notes)


def score_otb_strict(prediction_xywh: np.ndarray, truth: Truth) -> SequenceScore:
    """`otb` without its quirk: invalid frames are misses everywhere."""
    boxes, notes = prepare(prediction_xywh, truth.boxes_xywh, has_zero_side)
    valid = ~lacks_area(truth.boxes_xywh) & _visible(truth)
    errors = _substitute(_compare(boxes, truth.boxes_xywh), ~valid, np.inf, np.inf)
    return _curves(errors, int(valid.sum()), notes)


def score_got10k(prediction_xywh: np.ndarray, truth: Truth) -> SequenceScore:
    """As GOT-10k: mean overlap of the visible frames after the first, clipped to the image."""
    if truth.image_size is None:
        raise ValueError("the got10k protocol needs the image size, none is known")
    boxes, notes = prepare(prediction_xywh, truth.boxes_xywh, has_zero_side)
    kept = _visible(truth)
    kept[0] = False
    iou = metrics.intersection_over_union(
        metrics.clip_to_image(boxes[kept], *truth.image_size),
        metrics.clip_to_image(truth.boxes_xywh[kept], *truth.image_size),
    )
    undefined = np.full(len(iou), np.nan)
    result = _curves(_Errors(iou, undefined, undefined), len(iou), notes)
    nothing = np.full(len(metrics.PRECISION_THRESHOLDS), np.nan)
    return result._replace(precision=nothing, normalised=nothing)


PROTOCOLS: dict[str, Callable[[np.ndarray, Truth], SequenceScore]] = {
    "lasot": score_lasot,
    "otb": score_otb,
    "otb_strict": score_otb_strict,
    "got10k": score_got10k,
}
LASOT_LIKE = ("lasot", "lasot_ext")
DEFAULT_PROTOCOL = {"lasot": "lasot", "lasot_ext": "lasot", "got10k_val": "got10k"}


def default_protocol(dataset: str) -> str:
    """The protocol that the paper's figures for this data set were made with."""
    return DEFAULT_PROTOCOL.get(dataset, "otb")


def _visible(truth: Truth) -> np.ndarray:
    """(n,) bool, a new array; all True when the benchmark has no flags."""
    if truth.visible is None:
        return np.ones(len(truth.boxes_xywh), dtype=bool)
    return np.array(truth.visible, dtype=bool)


def _check_truth(truth: Truth) -> None:
    """Refuse an annotation that cannot be scored against."""
    n = len(truth.boxes_xywh)
    if n == 0:
        raise ValueError(f"{truth.name}: the annotation is empty")
    if truth.visible is not None and len(truth.visible) != n:
        raise ValueError(f"{truth.name}: {len(truth.visible)} visibility flags for {n} boxes")


def _compare(boxes: np.ndarray, annotated: np.ndarray) -> _Errors:
    """Per-frame overlap and distances, before any substitution."""
    return _Errors(
        metrics.intersection_over_union(boxes, annotated),
        metrics.centre_error(boxes, annotated),
        metrics.normalised_centre_error(boxes, annotated),
    )


def _substitute(errors: _Errors, where: np.ndarray, distance: float, normalised: float) -> _Errors:
    """Give the frames in `where` (n,) an overlap of -1 and the given distances."""
    return _Errors(
        np.where(where, -1.0, errors.iou),
        np.where(where, distance, errors.distance),
        np.where(where, normalised, errors.normalised),
    )


def _curves(errors: _Errors, frames: int, notes: tuple[str, ...]) -> SequenceScore:
    """Count hits at every threshold and divide by `frames`."""
    if frames == 0:
        raise ValueError("no frame can be scored: the target is invisible or has no size in all")
    return SequenceScore(
        success=metrics.share_above(errors.iou, metrics.SUCCESS_THRESHOLDS, frames),
        precision=metrics.share_within(errors.distance, metrics.PRECISION_THRESHOLDS, frames),
        normalised=metrics.share_within(errors.normalised, metrics.NORMALISED_THRESHOLDS, frames),
        average_overlap=float(np.nansum(np.maximum(errors.iou, 0)) / frames),
        frames=frames,
        notes=notes,
    )
