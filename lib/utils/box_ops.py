"""Box formats and arithmetic, for crops, models, losses and evaluation.

Source: docs/method.md, sections 1 and 4. `xywh` is top-left corner and size, `xyxy` two opposite
corners, `cxcywh` centre and size. Unless typed otherwise, functions take NumPy arrays or torch
tensors of any leading shape and return the same kind. Arrays need no torch: scoring runs without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Array = TypeVar("Array", np.ndarray, "Tensor")
NUMPY = (np.ndarray, np.generic)


def _join(parts: list[Array]) -> Array:
    if isinstance(parts[0], NUMPY):
        return np.stack(parts, -1)
    import torch

    return torch.stack(parts, -1)


def _split(box: Array) -> tuple[Array, Array, Array, Array]:
    return box[..., 0], box[..., 1], box[..., 2], box[..., 3]


def _at_least(values: Array, minimum: float) -> Array:
    """Clamp from below; NaN stays."""
    return np.maximum(values, minimum) if isinstance(values, NUMPY) else values.clamp(min=minimum)


def xywh_to_xyxy(box_xywh: Array) -> Array:
    """(..., 4) x, y, w, h -> x1, y1, x2, y2."""
    x, y, w, h = _split(box_xywh)
    return _join([x, y, x + w, y + h])


def xyxy_to_xywh(box_xyxy: Array) -> Array:
    """(..., 4) x1, y1, x2, y2 -> x, y, w, h. An inverted box gets a negative size."""
    x1, y1, x2, y2 = _split(box_xyxy)
    return _join([x1, y1, x2 - x1, y2 - y1])


def xywh_to_cxcywh(box_xywh: Array) -> Array:
    """(..., 4) x, y, w, h -> centre x, centre y, w, h."""
    x, y, w, h = _split(box_xywh)
    return _join([x + w / 2, y + h / 2, w, h])


def cxcywh_to_xywh(box_cxcywh: Array) -> Array:
    """(..., 4) centre x, centre y, w, h -> x, y, w, h."""
    cx, cy, w, h = _split(box_cxcywh)
    return _join([cx - w / 2, cy - h / 2, w, h])


def _tiny(values: Array) -> float:
    """The smallest positive number of a type, to divide by instead of 0."""
    if isinstance(values, NUMPY):
        return float(np.finfo(values.dtype).tiny)
    import torch

    return torch.finfo(values.dtype).tiny


def box_area(box_xyxy: Array) -> Array:
    """Area of (..., 4) xyxy boxes, (...); an inverted side counts as 0."""
    return _at_least(box_xyxy[..., 2:] - box_xyxy[..., :2], 0).prod(-1)


def intersection_area(a_xyxy: Array, b_xyxy: Array) -> Array:
    """Area that paired (..., 4) boxes share, (...); NaN where a box holds NaN."""
    if not isinstance(a_xyxy, NUMPY):
        top_left = a_xyxy[..., :2].maximum(b_xyxy[..., :2])
        bottom_right = a_xyxy[..., 2:].minimum(b_xyxy[..., 2:])
        return _at_least(bottom_right - top_left, 0).prod(-1)
    top_left = np.maximum(a_xyxy[..., :2], b_xyxy[..., :2])
    sides = np.maximum(np.minimum(a_xyxy[..., 2:], b_xyxy[..., 2:]) - top_left, 0)
    return sides[..., 0] * sides[..., 1]  # NumPy's prod is slow on an axis of two


def box_iou(a_xyxy: Array, b_xyxy: Array) -> tuple[Array, Array]:
    """IoU of paired boxes.

    Args:
        a_xyxy, b_xyxy: (..., 4), broadcast against each other.

    Returns:
        IoU in [0, 1] and union area, each (...). Two boxes without area have IoU 0.
    """
    intersection = intersection_area(a_xyxy, b_xyxy)
    union = box_area(a_xyxy) + box_area(b_xyxy) - intersection
    return intersection / _at_least(union, _tiny(union)), union


def generalized_box_iou(a_xyxy: Tensor, b_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    """Generalised IoU of paired boxes, defined for inverted boxes too.

    Areas are clamped at 0 and the enclosing box spans the extremes of *all* corners, so a predicted
    box with x2 < x1 gives a finite value whose gradient pulls its corners back into order.

    Args:
        a_xyxy, b_xyxy: (..., 4).

    Returns:
        GIoU in [-1, 1] and IoU in [0, 1], each (...).
    """
    iou, union = box_iou(a_xyxy, b_xyxy)
    corners = [a_xyxy[..., :2], a_xyxy[..., 2:], b_xyxy[..., :2], b_xyxy[..., 2:]]
    spread = _join(corners)  # (..., 2, 4)
    enclosing = (spread.amax(-1) - spread.amin(-1)).prod(-1)
    return iou - (enclosing - union) / _at_least(enclosing, _tiny(enclosing)), iou


def has_area(box_xywh: np.ndarray) -> np.ndarray:
    """(...) bool, True where a (..., 4) box is finite with a positive width and height."""
    return np.isfinite(box_xywh).all(-1) & (box_xywh[..., 2:] > 0).all(-1)


def is_inverted(box_xyxy: Tensor) -> Tensor:
    """(...) bool, True where x2 < x1 or y2 < y1."""
    return (box_xyxy[..., 2:] < box_xyxy[..., :2]).any(-1)


def clip_xywh_image(
    box_xywh: np.ndarray, width: int, height: int, margin: float = 10
) -> np.ndarray:
    """Clip (..., 4) boxes to a width x height image, float64 xywh in pixels, as the tracker does.

    Each side has at least `margin` pixels, and at least `margin` of it stays inside.
    """
    box_xyxy = xywh_to_xyxy(np.asarray(box_xywh, np.float64))
    size = np.array([width, height])
    top_left = np.minimum(np.maximum(0, box_xyxy[..., :2]), size - margin)
    bottom_right = np.minimum(np.maximum(margin, box_xyxy[..., 2:]), size)
    return np.concatenate([top_left, np.maximum(margin, bottom_right - top_left)], -1)
