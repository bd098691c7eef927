"""The network optimized for tracking: same weights, same boxes, far less work.

Source: algebra on attention.py and head.py, which stay the eager network.

Batch norm, a fixed scale and shift outside training, is folded into the layer before it.

Position encodings of crops without padding, which are most, are computed once.

Neighbours: attention.py has AiA attention on factors, graphs.py traced layers.
"""

import copy
import logging
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.fx.proxy import TraceError
from torch.nn.utils.fusion import fuse_linear_bn_eval

from lib.models.aiatrack.aiatrack import AiATrack, Normalisation
from lib.models.aiatrack.attention import AiAAttention
from lib.models.aiatrack.fast.attention import FactoredAiAAttention, FactoredDecoderLayer
from lib.models.aiatrack.fast.graphs import buffer, trace
from lib.models.aiatrack.position_encoding import PositionEncodings
from lib.models.aiatrack.prroi_pool import prroi_pool, prroi_pool_in_one_product
from lib.models.aiatrack.timm_import import timm
from lib.models.aiatrack.transformer import DecoderLayer

logger = logging.getLogger(__name__)

TRACE_ERRORS = (TraceError, TypeError, RuntimeError)  # torch.fx's, where Python needs values


def optimize_network(model: AiATrack) -> AiATrack:
    """Return an optimized copy of a network, in evaluation mode; the original stays as it is."""
    model = copy_structure(model).eval()
    body = trace_backbone(model.backbone.get_submodule("0.body"))
    model.backbone.set_submodule("0.body", body)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, AiAAttention) and child.inner_attn is not None:
                setattr(module, name, FactoredAiAAttention(child))
            elif module in (model.box_head, model.iou_head) and isinstance(child, nn.Sequential):
                setattr(module, name, trace(child))
    layers = model.transformer.decoder.layers
    if isinstance(layers[0].long_term_attn, FactoredAiAAttention):
        layers[0] = FactoredDecoderLayer(cast(DecoderLayer, layers[0]))
    fc = model.iou_head.fc
    if isinstance(fc.bn, nn.BatchNorm1d):
        fc.linear, fc.bn = fuse_linear_bn_eval(fc.linear, fc.bn), nn.Identity()
        model.iou_head.set_submodule("fc", trace(fc))
    if model.iou_head.pool is prroi_pool:
        model.iou_head.pool = prroi_pool_in_one_product
    model.box_head.expectation = Expectation(model.grid)
    model.positions = CachedPositions(model.positions, model.grid)
    model.normalisation = NormalisationOfBytes(model.normalisation.mean, model.normalisation.std)
    model.memory_format = torch.channels_last
    return model.to(memory_format=torch.channels_last)


def copy_structure(model: AiATrack) -> AiATrack:
    """Copy a network's modules around the same values, which what follows replaces, not changes."""
    shared: dict[int, Any] = {id(x): x.detach() for x in model.buffers()}
    shared |= {id(x): nn.Parameter(x.detach(), requires_grad=False) for x in model.parameters()}
    return copy.deepcopy(model, shared)


def trace_backbone(body: nn.Module) -> nn.Module:
    """Trace a timm network; its batch norms, frozen and with an activation or not, are folded.

    One that torch.fx cannot trace, as it branches on the size of its input, stays as it is.
    """
    body = timm.layers.unfreeze_batch_norm_2d(body)
    for module in list(body.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, timm.layers.BatchNormAct2d):
                norm = nn.BatchNorm2d(child.num_features, child.eps)
                norm.load_state_dict(child.state_dict())
                setattr(module, name, nn.Sequential(norm, child.act))
    try:
        return trace(body)
    except TRACE_ERRORS as error:
        reason = str(error).strip().splitlines()[0]
        logger.warning("torch.fx cannot trace the backbone, which runs eager: %s", reason)
        return body


class NormalisationOfBytes(Normalisation):
    """Images normalised in one step where they are uint8."""

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__(mean, std)
        self.scale, self.shift = buffer(1 / (255 * self.std)), buffer(-self.mean / self.std)

    def forward(self, image: Tensor) -> Tensor:
        """As `Normalisation.forward`."""
        if image.dtype == torch.uint8:
            return torch.addcmul(self.shift, image, self.scale)
        return super().forward(image)


class Expectation(nn.Module):
    """As `expected_positions` of head.py, both corners and axes in one product."""

    def __init__(self, grid: int) -> None:
        """Take the cells along each side of a map."""
        super().__init__()
        where = torch.arange(grid) / grid
        self.cells = buffer(torch.stack([where.repeat(grid), where.repeat_interleave(grid)], -1))

    def forward(self, scores: Tensor) -> Tensor:
        """(B, M, H, W) logits -> (B, M, 2) expected x, y in fractions of the crop."""
        return scores.float().flatten(2).softmax(-1) @ self.cells


class CachedPositions(PositionEncodings):
    """Position encodings, those of crops without padding computed once for a size of batch."""

    def __init__(self, positions: PositionEncodings, grid: int) -> None:
        """Compute them for an unpadded crop of grid x grid cells."""
        super().__init__(positions.dim, positions.match_dim)
        outer, inner = positions(torch.zeros(1, grid, grid, dtype=torch.bool))
        self.outer, self.inner = buffer(outer), buffer(inner)
        self._last: tuple[Tensor, Tensor] | None = None

    def forward(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As `PositionEncodings.forward`, in the type of the buffers."""
        outer, inner = super().forward(mask)
        return outer.to(self.outer.dtype), inner.to(self.inner.dtype)

    def unpadded(self, count: int, grid: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """As `PositionEncodings.unpadded`: the same tensors as long as batches have one size."""
        last = self._last
        if last is None or len(last[0]) != count or _kind(last[0]) != _kind(self.outer):
            # New tensors, as above: torch.compile tells views of buffers from them.
            self._last = last = (self.outer.repeat(count, 1, 1), self.inner.repeat(count, 1, 1))
        return last


def _kind(x: Tensor) -> tuple[torch.dtype, torch.device]:
    return x.dtype, x.device
