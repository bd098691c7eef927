"""The network optimized for tracking: same weights, same boxes, far less work.

Source: algebra on attention.py and head.py, which stay the eager network.

Batch norm, a fixed scale and shift outside training, is folded into the layer before it.

Position encodings of crops without padding, which are most, are computed once.

AiA attention never forms its correlation maps. With keys K (N, d), scaled queries Q (N, d) and
their mean over queries removed, Qc, the map's columns are M = K Q^T, so that each step of the inner
attention keeps rank d (rows of the maps below belong to keys):

    LayerNorm of M       (K / s) Qc^T, s_j^2 = K_j (Qc^T Qc / N) K_j^T + eps      times gain g
    projection of M      K (W Q)^T + bias
    inner attention      r = P (K / s) Qc^T diag(g) (I + W_out)^T = U T^T,
                         U = P (K / s), T = ((I + W_out) diag(g)) Qc
    refined map          M + r = [K U] [Q T]^T

What LayerNorm's bias and the output's bias add to r is the same for all keys of a query, and the
softmax over keys does not see it. Both attentions, the inner one with values K / s and the outer
one with keys [K U], are thus ordinary ones.
"""

import copy
import logging
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule, Node, symbolic_trace
from torch.fx.proxy import TraceError
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.attention import AiAAttention
from lib.models.aiatrack.fast import support
from lib.models.aiatrack.position_encoding import PositionEncodings
from lib.models.aiatrack.prroi_pool import prroi_pool, prroi_pool_in_one_product
from lib.models.aiatrack.references import KeyValue
from lib.models.aiatrack.timm_import import timm

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
    fc = model.iou_head.fc
    if isinstance(fc.bn, nn.BatchNorm1d):
        fc.linear, fc.bn = fuse_linear_bn_eval(fc.linear, fc.bn), nn.Identity()
    if model.iou_head.pool is prroi_pool:
        model.iou_head.pool = prroi_pool_in_one_product
    model.positions = CachedPositions(model.positions, model.grid)
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


def trace(module: nn.Module) -> GraphModule:
    """Trace layers into a graph, batch norm folded, without what does nothing in evaluation."""
    traced = symbolic_trace(module.eval())
    for node in list(traced.graph.nodes):
        layer = layer_of(traced, node)
        if isinstance(layer, nn.Identity | nn.Dropout) or _fold(traced, node, layer):
            node.replace_all_uses_with(node.args[0])
            traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def layer_of(traced: GraphModule, node: Node) -> nn.Module | None:
    """Look up the layer that a node of a traced network calls; None if it calls none."""
    return traced.get_submodule(str(node.target)) if node.op == "call_module" else None


def _fold(traced: GraphModule, node: Node, norm: nn.Module | None) -> bool:
    """Fold a batch norm into the convolution that is its input, if this is the only use of it."""
    if type(norm) is not nn.BatchNorm2d or not norm.track_running_stats:
        return False
    before = node.all_input_nodes[0]
    conv = layer_of(traced, before)
    if type(conv) is not nn.Conv2d or len(before.users) > 1:
        return False
    traced.set_submodule(str(before.target), fuse_conv_bn_eval(conv, norm))
    return True


def buffer(value: Tensor) -> nn.Buffer:
    """Keep a copy of a value that is neither trained nor saved."""
    return nn.Buffer(value.detach().clone(), persistent=False)


@torch.fx.wrap
def _attend(query: Tensor, key: Tensor, value: Tensor, fuses_bf16: bool) -> Tensor:
    """Attention without a scale; (..., N, e), (..., M, e), (..., M, d) -> (..., N, d), d <= e.

    The CPU's fused kernel wants widths that agree, at which two products of fp32 are faster. In
    bf16 it is several times faster than they are with AMX, without which it computes in fp32.
    """
    width = value.shape[-1]
    if query.device.type == "cpu":
        exact = query.dtype == torch.float32
        if (exact and width < query.shape[-1]) or (not exact and not fuses_bf16):
            return (query @ key.transpose(-2, -1)).softmax(-1) @ value
        if width < query.shape[-1]:
            value = F.pad(value, (0, query.shape[-1] - width))
    return F.scaled_dot_product_attention(query, key, value, scale=1.0)[..., :width]


class FactoredAiAAttention(nn.Module):
    """AiA attention on factors of the correlation map; takes and gives what `AiAAttention` does."""

    def __init__(self, attention: AiAAttention) -> None:
        """Take the weights of an attention. Raises ValueError where it has no inner one."""
        super().__init__()
        if attention.inner_attn is None:
            raise ValueError("attention without an inner one has no correlation map to refine")
        self.heads, self.tokens = attention.heads, attention.tokens
        self.fuses_bf16 = support.has_instructions("amx_tile")
        # Keys and values as they are, queries with their scale.
        q_weight, k_weight, v_weight = attention.in_proj_weight.chunk(3)
        q_bias, k_bias, v_bias = attention.in_proj_bias.chunk(3)
        scale = 1 / math.sqrt(len(q_bias) // attention.heads)
        self.q_weight, self.q_bias = buffer(q_weight * scale), buffer(q_bias * scale)
        self.k_weight, self.k_bias = buffer(k_weight), buffer(k_bias)
        self.v_weight, self.v_bias = buffer(v_weight), buffer(v_bias)
        # (2D, D): inner queries, scaled, and inner keys in one product.
        inner, projection = attention.inner_attn, attention.inner_attn.corr_attn
        scale = 1 / math.sqrt(len(projection.q_proj_bias))
        q_weight, q_bias = projection.q_proj_weight * scale, projection.q_proj_bias * scale
        self.inner_weight = buffer(torch.cat([q_weight, projection.k_proj_weight]))
        self.inner_bias = buffer(torch.cat([q_bias, projection.k_proj_bias]))
        # (N + D, N): it meets queries without their mean, and values that are short of sqrt(N).
        mix = (torch.eye(self.tokens) + projection.out_proj.weight) * inner.feat_norm2.weight
        mix = (mix - mix.mean(1, keepdim=True)) * math.sqrt(self.tokens)
        self.query_weight = buffer(torch.cat([mix, inner.corr_proj.weight]))
        self.mean_weight = buffer(inner.corr_proj.weight.sum(1, keepdim=True))  # (D, 1)
        self.corr_bias = buffer(inner.corr_proj.bias)
        self.norm, self.eps = inner.feat_norm1, inner.feat_norm2.eps
        self.out_proj = attention.out_proj

    def project(self, key: Tensor, value: Tensor) -> KeyValue:
        """As `AiAAttention.project`."""
        k = F.linear(key, self.k_weight, self.k_bias)
        v = F.linear(value, self.v_weight, self.v_bias)
        return KeyValue(self._split_heads(k), self._split_heads(v))

    def forward(self, query: Tensor, memory: KeyValue, inner_pos: Tensor) -> Tensor:
        """As `AiAAttention.forward`: (B, N, C), R frames of keys, (B, R*N, D) -> (B, N, C)."""
        q = self._split_heads(F.linear(query, self.q_weight, self.q_bias))  # (B, h, N, d)
        # What queries have in common is kept apart: it would drown the rest in bf16.
        mean = q.mean(-2, keepdim=True)
        centred = q - mean
        t, wq = (self.query_weight @ centred).tensor_split([self.tokens], -2)  # over all queries
        wq = wq + self.mean_weight * mean
        u = self._attend_inside(centred, wq, memory.key, inner_pos)  # (B, h, R*N, d)
        # The refined map is [K U] [Q T]^T.
        query, key = torch.cat([q, t], -1), torch.cat([memory.key, u], -1)
        attended = _attend(query, key, memory.value, self.fuses_bf16)  # (B, h, N, d)
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def _attend_inside(self, centred: Tensor, wq: Tensor, key: Tensor, inner_pos: Tensor) -> Tensor:
        """U = P (K / s) of each frame on its own, over sqrt(N), (B, h, R*N, d); wq (B, h, D, d)."""
        scatter = centred.transpose(-2, -1) @ centred  # N times the covariance
        variance = ((key @ scatter) * key).sum(-1, keepdim=True)  # N times that of a key's column
        # Rounding can take it below 0.
        values = key * (variance.clamp(min=0) + self.tokens * self.eps).rsqrt()
        projected = key @ wq.transpose(-2, -1) + self.corr_bias  # (B, h, R*N, D)
        z = self.norm(projected) + inner_pos[:, None]
        inner_q, inner_k = F.linear(z, self.inner_weight, self.inner_bias).chunk(2, -1)
        parts = (inner_q, inner_k, values)  # of frames on their own: (B, h*R, N, ...)
        q, k, v = (x.reshape(x.shape[0], -1, self.tokens, x.shape[-1]) for x in parts)
        return _attend(q, k, v, self.fuses_bf16).reshape(key.shape)

    def _split_heads(self, x: Tensor) -> Tensor:
        """(B, M, C) -> (B, h, M, d)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class CachedPositions(PositionEncodings):
    """Position encodings, those of crops without padding computed once."""

    def __init__(self, positions: PositionEncodings, grid: int) -> None:
        """Compute them for an unpadded crop of grid x grid cells."""
        super().__init__(positions.dim, positions.match_dim)
        outer, inner = positions(torch.zeros(1, grid, grid, dtype=torch.bool))
        self.outer, self.inner = buffer(outer), buffer(inner)

    def forward(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As `PositionEncodings.forward`, in the type of the buffers."""
        if mask.is_cuda or mask.any():  # to ask a GPU would be to wait for it
            outer, inner = super().forward(mask)
            return outer.to(self.outer.dtype), inner.to(self.inner.dtype)
        # New tensors, as above: torch.compile tells views of buffers from them.
        return self.outer.repeat(len(mask), 1, 1), self.inner.repeat(len(mask), 1, 1)
