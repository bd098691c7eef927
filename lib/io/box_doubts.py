"""Boxes that are probably not what they are taken for: corners or fractions instead of x,y,w,h."""

import numpy as np

from lib.utils.box_ops import has_area

EXPECTED = "x,y,w,h in pixels are expected"


def doubt_boxes(boxes_xywh: np.ndarray, width: int, height: int) -> str:
    """Say what boxes (n, 4) of a width x height image look like; empty where nothing is odd.

    Boxes are in doubt if all numbers are at most 1, or if some end outside of the image as x,y,w,h,
    while all would lie inside as x1,y1,x2,y2. Boxes without a size are left out.
    """
    boxes = np.asarray(boxes_xywh, np.float64).reshape(-1, 4)
    boxes = boxes[has_area(boxes)]
    if not len(boxes):
        return ""
    if (boxes <= 1).all():
        return f"boxes look like fractions of the image, all numbers are at most 1; {EXPECTED}"
    size = np.array([width, height]) + 1  # 1: rounding, and tools that count pixels from 1
    outside = (boxes[:, :2] + boxes[:, 2:] > size).any(axis=1)
    are_corners = (boxes[:, :2] < boxes[:, 2:]) & (boxes[:, 2:] <= size)
    if not outside.any() or not are_corners.all():
        return ""
    count = f"{outside.sum()} of {len(boxes)} would end outside of the {width} x {height} image"
    return f"boxes look like x1,y1,x2,y2, as x,y,w,h {count}; {EXPECTED}"
