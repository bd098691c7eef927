"""What the network is trained on: samples as they are drawn, batches of them, batches on a device.

R = 2 reference frames, P = 16 proposals, S = crop side in pixels, B samples in a batch. Loading
processes draw and collate; the training process moves a batch to its device and unpacks it there.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import default_collate


class CompactSample(NamedTuple):
    """Three crops of one target as bytes, a quarter of what floats take."""

    crops: Tensor  # (R + 1, S, S, 3) uint8 RGB, in temporal order: the search frame is the last
    scales: Tensor  # (R + 1,) of the crops: what makes a byte a value in [0, 1]; brighter is cut
    masks: Tensor  # (R + 1, S, S) bool, True on padding
    boxes: Tensor  # (R + 1, 4) xywh, fractions of the crops, may reach outside [0, 1]
    recent_boxes: Tensor  # (R + 1, 4) where the frames are marked as recent references
    proposals: Tensor  # (P, 4) xywh, fractions of the search crop
    proposal_iou: Tensor  # (P,) IoU with the search frame's box on the scale 2 * IoU - 1
    source: str  # "LASOT airplane-2 frames 3, 9, 17", for messages
    rejected: int = 0  # unusable draws (crop without a pixel of the image) before this one
    broken: str = ""  # unreadable images met before this one, one message per line


class Batch(NamedTuple):
    """B samples on the network's device: two references and, later in time, the search frame."""

    search: Tensor  # (B, 3, S, S) RGB in [0, 1], not normalised by mean and std
    search_mask: Tensor  # (B, S, S) bool, True on padding
    search_box: Tensor  # (B, 4) xywh, fractions of the crop, may reach outside [0, 1]
    references: Tensor  # (B, R, 3, S, S) in temporal order, as `search`
    reference_masks: Tensor  # (B, R, S, S) bool
    reference_boxes: Tensor  # (B, R, 4) xywh, fractions of their crops
    recent_boxes: Tensor  # (B, R + 1, 4) xywh, of the references and the search frame, as marked
    proposals: Tensor  # (B, P, 4) xywh, fractions of the search crop
    proposal_iou: Tensor  # (B, P) IoU with search_box on the scale 2 * IoU - 1
    source: Sequence[str]


class CompactBatch(NamedTuple):
    """Samples put together: CompactSample's fields, its tensors with the batch axis in front."""

    crops: Tensor
    scales: Tensor
    masks: Tensor
    boxes: Tensor
    recent_boxes: Tensor
    proposals: Tensor
    proposal_iou: Tensor
    source: Sequence[str]
    rejected: Tensor  # (B,) int64
    broken: Sequence[str]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        """Move the tensors to `device` and unpack them there."""
        crops, scales, masks, boxes, recent_boxes, proposals, proposal_iou = (
            tensor.to(device, non_blocking=non_blocking) for tensor in self[:7]
        )
        return Batch(
            search=_to_floats(crops[:, -1], scales[:, -1]),
            search_mask=masks[:, -1],
            search_box=boxes[:, -1],
            references=_to_floats(crops[:, :-1], scales[:, :-1]),
            reference_masks=masks[:, :-1],
            reference_boxes=boxes[:, :-1],
            recent_boxes=recent_boxes,
            proposals=proposals,
            proposal_iou=proposal_iou,
            source=self.source,
        )


def collate(samples: Sequence[CompactSample]) -> CompactBatch:
    """Put samples together, in shared memory where a loading process does it."""
    return CompactBatch(*default_collate(list(samples)))


def _to_floats(crops: Tensor, scales: Tensor) -> Tensor:
    """(..., S, S, 3) bytes, times (...), cut at 1 -> (..., 3, S, S)."""
    images = crops.movedim(-1, -3).to(torch.float32, memory_format=torch.contiguous_format)
    return images.mul_(scales[..., None, None, None]).clamp_(max=1)
