"""What the network is trained on: one sample, and after collation one batch.

R = 2 reference frames, P = 16 proposals, S = crop side in pixels. PyTorch's default collate puts
the batch axis B in front of every tensor and makes lists of the strings.
"""

from typing import NamedTuple, TypeVar

import torch
from torch import Tensor


class Sample(NamedTuple):
    """Three crops of one target: two references and, later in time, the search frame."""

    search: Tensor  # (3, S, S) RGB in [0, 1], not normalised by mean and std
    search_mask: Tensor  # (S, S) bool, True on padding
    search_box: Tensor  # (4,) xywh, fractions of the crop, may reach outside [0, 1]
    references: Tensor  # (R, 3, S, S) in temporal order, as `search`
    reference_masks: Tensor  # (R, S, S) bool
    reference_boxes: Tensor  # (R, 4) xywh, fractions of their crops
    proposals: Tensor  # (P, 4) xywh, fractions of the search crop
    proposal_iou: Tensor  # (P,) IoU with search_box on the scale 2 * IoU - 1
    source: str  # "LASOT airplane-2 frames 3, 9, 17", for messages
    rejected: int = 0  # unusable draws (crop without a pixel of the image) before this one
    broken: str = ""  # unreadable images met before this one, one message a line

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Sample":
        """Return a copy with the tensors on `device`."""
        return _move(self, device, non_blocking)


class CompactSample(NamedTuple):
    """A sample as it is drawn and sent: its crops are bytes, a quarter of what floats take."""

    crops: Tensor  # (R + 1, S, S, 3) uint8 RGB, in temporal order: the search frame is the last
    scales: Tensor  # (R + 1,) of the crops: what makes a byte a value in [0, 1]; brighter is cut
    masks: Tensor  # (R + 1, S, S) bool, True on padding
    boxes: Tensor  # (R + 1, 4) xywh, fractions of the crops, may reach outside [0, 1]
    proposals: Tensor  # as in Sample
    proposal_iou: Tensor
    source: str
    rejected: int = 0
    broken: str = ""

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Sample:
        """Move the tensors to `device` and unpack them there, one sample or a batch."""
        return _move(self, device, non_blocking).unpack()

    def unpack(self) -> Sample:
        """Make floats of the crops and name the frames."""
        return Sample(
            search=_floats(self.crops[..., -1, :, :, :], self.scales[..., -1]),
            search_mask=self.masks[..., -1, :, :],
            search_box=self.boxes[..., -1, :],
            references=_floats(self.crops[..., :-1, :, :, :], self.scales[..., :-1]),
            reference_masks=self.masks[..., :-1, :, :],
            reference_boxes=self.boxes[..., :-1, :],
            proposals=self.proposals,
            proposal_iou=self.proposal_iou,
            source=self.source,
            rejected=self.rejected,
            broken=self.broken,
        )


Kind = TypeVar("Kind", Sample, CompactSample)


def _move(sample: Kind, device: torch.device | str, non_blocking: bool) -> Kind:
    """Return a copy with the tensors on `device`."""
    return type(sample)._make(
        value.to(device, non_blocking=non_blocking) if isinstance(value, Tensor) else value
        for value in sample
    )


def _floats(crops: Tensor, scales: Tensor) -> Tensor:
    """(..., S, S, 3) bytes, times (...), cut at 1 -> (..., 3, S, S)."""
    images = crops.movedim(-1, -3).to(torch.float32, memory_format=torch.contiguous_format)
    return images.mul_(scales[..., None, None, None]).clamp_(max=1)
