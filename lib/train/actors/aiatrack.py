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
    score: Tensor | None = None  # (B,) their predicted IoU in [0, 1], where the network says it


class AIATRACKActor:
    """Runs a network on a batch and compares its predictions, in fp32, with the truth."""

    def __init__(
        self,
        net: nn.Module,
        weights: LossWeights,
        autocast: torch.dtype | None = None,
        *,
        every_frame: bool = False,
        score_own: bool = False,
        recent_errors: bool = False,
        absent: bool = False,
    ) -> None:
        """Keep the network, wrapped for distributed training or not.

        Args:
            autocast: dtype of the network's matrix products; None is fp32 throughout.
            every_frame: learn the boxes of the references too, each sought by the other frames; the
                terms logged are then means over all of them.
            score_own: the IoU head learns on the box predicted in the search frame too.
            recent_errors: mark recent references where the batch says, instead of at their boxes.
            absent: search windows may show nothing of the target; there is no box to learn then.
        """
        self.net, self.weights = net, weights
        self.autocast, self.every_frame = autocast, every_frame
        self.score_own, self.recent_errors, self.absent = score_own, recent_errors, absent

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
                batch.recent_boxes if self.recent_errors else None,
                self.score_own,
            )
        return self._losses(Prediction(*(value.float() for value in predicted)), batch)

    def _losses(self, predicted: Prediction, batch: Batch) -> LossOutput:
        box_xyxy = predicted.box_xyxy
        truth_xywh = batch.search_box  # (B, 4)
        if self.every_frame:
            others = batch.reference_boxes.transpose(0, 1).flatten(0, 1)
            truth_xywh = torch.cat([truth_xywh, others])  # (B*(1+R), 4)
        truth_xyxy = xywh_to_xyxy(truth_xywh.float()).clamp(0, 1)
        shown = self._shown(truth_xyxy, len(batch.search)) if self.absent else None
        giou, overlap = generalized_box_iou(box_xyxy, truth_xyxy)  # (B,) each
        giou_loss = _mean(1 - giou, shown)
        l1_loss = _mean((box_xyxy - truth_xyxy).abs().mean(1), shown)
        true_iou = batch.proposal_iou.float()
        if self.score_own:
            own = 2 * overlap[: len(batch.search), None].detach() - 1
            true_iou = torch.cat([true_iou, own], 1)
        iou_loss = F.mse_loss(predicted.iou, true_iou)
        weights = self.weights
        loss = weights.giou * giou_loss + weights.l1 * l1_loss + weights.iou * iou_loss
        corner_terms = {}
        if weights.corner:
            corner = corner_cross_entropy(predicted.corner_scores, truth_xyxy)  # (B,)
            corner_terms["Ls/corner"] = _mean(corner, shown)
            loss = loss + weights.corner * corner_terms["Ls/corner"]
        terms = {
            "Ls/total": loss,
            "Ls/giou": giou_loss,
            "Ls/l1": l1_loss,
            "Ls/iou": iou_loss,
            **corner_terms,
            "IoU": _mean(overlap, shown),
            "inverted": is_inverted(box_xyxy).float().mean(),
        }
        terms = {name: value.detach() for name, value in terms.items()}
        score = (predicted.iou[:, -1].detach() + 1) / 2 if self.score_own else None
        return LossOutput(loss, terms, box_xyxy[: len(batch.search)].detach(), score)

    @staticmethod
    def _shown(truth_xyxy: Tensor, batch: int) -> Tensor:
        """Which rows show something of the target and are sought by frames that do: 1 or 0.

        The first reference of the last frame is the search frame.
        """
        shown = (truth_xyxy[:, 2:] > truth_xyxy[:, :2]).all(1).float()
        if len(shown) == batch:
            return shown
        return torch.cat([shown[:-batch], shown[-batch:] * shown[:batch]])


def _mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Mean of (B,) values, weighted if weights are given; 0 where all weights are."""
    if weights is None:
        return values.mean()
    return (values * weights).sum() / weights.sum().clamp(min=1)


def corner_cross_entropy(scores: Tensor, truth_xyxy: Tensor) -> Tensor:
    """Cross-entropy (B,) of corner maps with the truth, shared among the four cells around it.

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
    return -(truth * scores.flatten(2).log_softmax(-1).view_as(scores)).sum((-2, -1)).mean(1)
