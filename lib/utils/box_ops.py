"""Box formats and arithmetic, for crops, models, losses and evaluation.

Source: docs/method.md, sections 1 and 4. `xywh` is top-left corner and size, `xyxy` two opposite
corners, `cxcywh` centre and size. Unless typed otherwise, functions take NumPy arrays or torch
tensors of any leading shape and return the same kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

OF_NUMPY = (np.ndarray, np.generic)  # an array, and what arithmetic makes of one of no dimension
Array = TypeVar("Array", np.ndarray, "Tensor")


def library_of(array: Any) -> Any:
    """NumPy or torch, whichever made an array; who has no tensor imports no torch."""
    if isinstance(array, OF_NUMPY):
        return np
    import torch

    return torch


def _join(parts: list[Array]) -> Array:
    return library_of(parts[0]).stack(parts, -1)


def _split(box: Array) -> tuple[Array, Array, Array, Array]:
    return box[..., 0], box[..., 1], box[..., 2], box[..., 3]


def _at_least(values: Array, minimum: float) -> Array:
    """Clamp from below; NaN stays."""
    if isinstance(values, OF_NUMPY):
        return np.maximum(values, minimum)
    return values.clamp(min=minimum)


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


def box_area(box_xyxy: Array) -> Array:
    """Area of (..., 4) xyxy boxes, (...); an inverted side counts as 0."""
    return _at_least(box_xyxy[..., 2:] - box_xyxy[..., :2], 0).prod(-1)


def intersection_area(a_xyxy: Array, b_xyxy: Array) -> Array:
    """Area that paired (..., 4) boxes share, (...); NaN where a box holds NaN."""
    library = library_of(a_xyxy)
    top_left = library.maximum(a_xyxy[..., :2], b_xyxy[..., :2])
    bottom_right = library.minimum(a_xyxy[..., 2:], b_xyxy[..., 2:])
    sides = _at_least(bottom_right - top_left, 0)
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
    tiny = float(library_of(union).finfo(union.dtype).tiny)
    return intersection / _at_least(union, tiny), union


def has_area(box_xywh: np.ndarray) -> np.ndarray:
    """(...) bool, True where a (..., 4) box is finite with a positive width and height."""
    return np.isfinite(box_xywh).all(-1) & (box_xywh[..., 2:] > 0).all(-1)


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
