"""What the losses ask of predicted boxes, which may be inverted.

Source: docs/method.md, section 4. `xyxy` is two opposite corners.
"""

import torch
from torch import Tensor

from lib.utils.box_ops import box_iou


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
    corners = torch.stack([a_xyxy[..., :2], a_xyxy[..., 2:], b_xyxy[..., :2], b_xyxy[..., 2:]])
    enclosing = (corners.amax(0) - corners.amin(0)).prod(-1)
    tiny = torch.finfo(enclosing.dtype).tiny
    return iou - (enclosing - union) / enclosing.clamp(min=tiny), iou


def is_inverted(box_xyxy: Tensor) -> Tensor:
    """(...) bool, True where x2 < x1 or y2 < y1."""
    return (box_xyxy[..., 2:] < box_xyxy[..., :2]).any(-1)
