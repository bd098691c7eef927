"""A detector's boxes in, tracks out: `Detections` of the package supervision, which is optional.

Whatever has `xyxy`, (n, 4) corners in pixels, can come in.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lib.test.tracker.targets import State
from lib.utils.box_ops import xywh_to_xyxy, xyxy_to_xywh


def is_detections(boxes: Any) -> bool:
    """True for an object with boxes as corners."""
    return hasattr(boxes, "xyxy")


def boxes_of(detections: Any) -> dict[int, list[float]]:
    """Boxes (x, y, w, h) by number: that of `tracker_id` where it is set, else from 1."""
    corners = np.asarray(detections.xyxy, np.float64).reshape(-1, 4)
    numbers = getattr(detections, "tracker_id", None)
    numbers = range(1, len(corners) + 1) if numbers is None else map(int, numbers)
    return dict(zip(numbers, xyxy_to_xywh(corners).tolist(), strict=True))


def to_detections(states: Sequence[State], *, lost: bool = False) -> Any:
    """Make supervision's `Detections` of a step's targets, for its annotators and zones.

    Args:
        lost: those that are lost as well. A box that was given has confidence 1.

    Raises:
        ImportError: the package is not installed.
    """
    try:
        from supervision import Detections
    except ImportError as error:
        raise ImportError("to_detections needs supervision: pip install supervision") from error
    kept = [state for state in states if lost or not state.lost]
    boxes = np.array([state.box_xywh for state in kept], np.float64).reshape(-1, 4)
    return Detections(
        xyxy=xywh_to_xyxy(boxes).astype(np.float32),
        confidence=np.array([1.0 if s.score is None else s.score for s in kept], np.float32),
        class_id=np.zeros(len(kept), int),
        tracker_id=np.array([state.target for state in kept], int),
    )
