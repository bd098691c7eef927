"""What the network is trained on: one sample, and after collation one batch.

R = 2 reference frames, P = 16 proposals, S = crop side in pixels. PyTorch's default collate puts
the batch axis B in front of every tensor and makes lists of the strings.
"""

from typing import NamedTuple

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
        return Sample._make(
            value.to(device, non_blocking=non_blocking) if isinstance(value, Tensor) else value
            for value in self
        )
