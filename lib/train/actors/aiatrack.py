"""One call of the network and the three losses of the paper, computed in fp32.

Source: the paper, section 3.4; docs/method.md, section 4. B targets, R references.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.aiatrack.aiatrack import Prediction
from lib.train.actors.box_losses import generalized_box_iou, is_inverted
from lib.train.data.batch import Batch
from lib.utils.box_ops import xywh_to_xyxy


class LossWeights(NamedTuple):
    """Factors of the terms in the total."""

    giou: float = 2.0
    l1: float = 5.0
    iou: float = 2.0
    corner: float = 0.0  # not among the paper's: a start from random weights needs it


class LossOutput(NamedTuple):
    """One batch's loss and what to log of it."""

    loss: Tensor  # scalar, with gradient
    terms: dict[str, Tensor]  # detached scalars by log name; the losses among them unweighted
    box_xyxy: Tensor  # (B, 4) predicted boxes of the search frames, detached, crop fractions


class AIATRACKActor:
    """Runs a network on a batch and compares its predictions, in fp32, with the truth."""

    def __init__(
        self,
        net: nn.Module,
        weights: LossWeights,
        autocast: torch.dtype | None = None,
        *,
        every_frame: bool = False,
    ) -> None:
        """Keep the network, wrapped for distributed training or not.

        Args:
            autocast: dtype of the network's matrix products; None is fp32 throughout.
            every_frame: learn the boxes of the references too, each sought by the other frames; the
                terms logged are then means over all of them.
        """
        self.net, self.weights = net, weights
        self.autocast, self.every_frame = autocast, every_frame

    def __call__(self, batch: Batch) -> LossOutput:
        device_type, mixed = batch.search.device.type, self.autocast is not None
        with torch.autocast(device_type, self.autocast, enabled=mixed):
            predicted = self.net(
                batch.search,
                batch.search_mask,
                batch.references,
                batch.reference_masks,
                batch.reference_boxes,
                batch.proposals,
                batch.search_box if self.every_frame else None,
            )
        return self._losses(Prediction(*(value.float() for value in predicted)), batch)

    def _losses(self, predicted: Prediction, batch: Batch) -> LossOutput:
        box_xyxy = predicted.box_xyxy
        truth_xywh = batch.search_box  # (B, 4)
        if self.every_frame:
            others = batch.reference_boxes.transpose(0, 1).flatten(0, 1)
            truth_xywh = torch.cat([truth_xywh, others])  # (B*(1+R), 4)
        truth_xyxy = xywh_to_xyxy(truth_xywh.float()).clamp(0, 1)
        giou, overlap = generalized_box_iou(box_xyxy, truth_xyxy)  # (B,) each
        giou_loss = (1 - giou).mean()
        l1_loss = F.l1_loss(box_xyxy, truth_xyxy)
        iou_loss = F.mse_loss(predicted.iou, batch.proposal_iou.float())
        weights = self.weights
        loss = weights.giou * giou_loss + weights.l1 * l1_loss + weights.iou * iou_loss
        corner_terms = {}
        if weights.corner:
            corner_terms["Ls/corner"] = corner_cross_entropy(predicted.corner_scores, truth_xyxy)
            loss = loss + weights.corner * corner_terms["Ls/corner"]
        terms = {
            "Ls/total": loss,
            "Ls/giou": giou_loss,
            "Ls/l1": l1_loss,
            "Ls/iou": iou_loss,
            **corner_terms,
            "IoU": overlap.mean(),
            "inverted": is_inverted(box_xyxy).float().mean(),
        }
        terms = {name: value.detach() for name, value in terms.items()}
        return LossOutput(loss, terms, box_xyxy[: len(batch.search)].detach())


def corner_cross_entropy(scores: Tensor, truth_xyxy: Tensor) -> Tensor:
    """Mean cross-entropy of corner maps with the truth, shared among the four cells around it.

    The shares are bilinear, so that their expected position, which the soft-argmax reads off, is
    the true corner. The soft-argmax's own gradient is weak while the maps are flat.

    Args:
        scores: (B, 2, H, W) logits, cell i at i / W.
        truth_xyxy: (B, 4) in [0, 1].
    """
    height, width = scores.shape[-2:]
    corners = truth_xyxy.view(-1, 2, 2)  # (B, corner, xy)
    columns = (corners[..., 0] * width).clamp(max=width - 1)[..., None]  # (B, 2, 1) cells
    rows = (corners[..., 1] * height).clamp(max=height - 1)[..., None]
    across = (1 - (columns - torch.arange(width, device=scores.device)).abs()).clamp(min=0)
    down = (1 - (rows - torch.arange(height, device=scores.device)).abs()).clamp(min=0)
    truth = down[..., None] * across[..., None, :]  # (B, 2, H, W), sums to 1
    return -(truth * scores.flatten(2).log_softmax(-1).view_as(scores)).sum((-2, -1)).mean()
