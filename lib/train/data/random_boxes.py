"""Random boxes: search windows and the IoU head's proposals. Source: docs/method.md, section 4."""

from typing import NamedTuple

import numpy as np

from lib.utils.box_ops import box_iou, cxcywh_to_xywh, xywh_to_cxcywh, xywh_to_xyxy

PROPOSALS = 16
SIGMAS = (0.03, 0.05, 0.1, 0.2, 0.3)  # of the noise, times sqrt(box area)
SIGMA_DECAY = 0.9  # from attempt to attempt
MAX_ATTEMPTS = 10
MIN_IOU = 0.1


class Jitter(NamedTuple):
    """How far a window may be laid from the target."""

    centre: float  # times sqrt(area of the jittered box); the offset is within half of it
    scale: float  # standard deviation of the logarithm of each side


class Proposals(NamedTuple):
    """Boxes around the target."""

    boxes_xywh: np.ndarray  # (P, 4) in the frame of the target's box
    iou: np.ndarray  # (P,) with the target's box, [0, 1]


def jitter_box(box_xywh: np.ndarray, jitter: Jitter, generator: np.random.Generator) -> np.ndarray:
    """Draw a box (4,) near another: each side is scaled, then the centre is moved."""
    if jitter == (0, 0):
        return box_xywh
    centre = box_xywh[:2] + box_xywh[2:] / 2
    size = box_xywh[2:] * np.exp(generator.standard_normal(2) * jitter.scale)
    reach = np.sqrt(size.prod()) * jitter.centre
    centre = centre + reach * (generator.random(2) - 0.5)
    return np.concatenate([centre - size / 2, size])


def beside_box(box_xywh: np.ndarray, factor: float, generator: np.random.Generator) -> np.ndarray:
    """Shift a box (4,) so far that a window of `factor` around it shows nothing of it before."""
    half = np.sqrt(box_xywh[2:].prod()) * factor / 2
    shift = half * generator.uniform(-1, 1, 2)
    axis = int(generator.integers(2))
    away = (half + box_xywh[2 + axis] / 2) * generator.uniform(1.05, 1.6)
    shift[axis] = away if generator.random() < 0.5 else -away
    return np.concatenate([box_xywh[:2] + shift, box_xywh[2:]])


def draw_proposals(
    box_xywh: np.ndarray, generator: np.random.Generator, count: int = PROPOSALS
) -> Proposals:
    """Draw boxes by adding noise to centre and size of `box_xywh` (4,).

    What overlaps too little, or has no positive size, is drawn again with less noise. In the end
    the last one with a positive size stays, or the target's box itself.
    """
    boxes, iou = np.tile(box_xywh, (count, 1)), np.ones(count)
    sigma = generator.choice(SIGMAS, count) * np.sqrt(box_xywh[2:].prod())
    pending = np.ones(count, bool)
    for _ in range(MAX_ATTEMPTS):
        # All are drawn again, so that the generator does not depend on which are pending.
        noise = generator.standard_normal((count, 4)) * sigma[:, None]
        candidates = cxcywh_to_xywh(xywh_to_cxcywh(box_xywh) + noise)
        overlap, _ = box_iou(xywh_to_xyxy(candidates), xywh_to_xyxy(box_xywh))
        # Pending ones take whatever has a size, and are done where it overlaps enough.
        taken = pending & (candidates[:, 2:] > 0).all(1)
        boxes[taken], iou[taken] = candidates[taken], overlap[taken]
        pending &= ~(taken & (overlap > MIN_IOU))
        if not pending.any():
            break
        sigma = sigma * SIGMA_DECAY
    return Proposals(boxes, iou)
