"""The network's training step with less work: same parameters and gradients, up to rounding.

Frozen batch norm is folded into the weights of the convolution before it, at every step. AiA
attention works on factors of its maps, as in attention.py beside this file, but keeps what dropout
needs. ReLU and max pooling change places, which changes no bit. Boxes are pooled in one product.
"""

import itertools
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule, Tracer

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.attention import AiAAttention, InnerAttention
from lib.models.aiatrack.fast.factored import TRACE_ERRORS
from lib.models.aiatrack.fast.graphs import layer_of
from lib.models.aiatrack.prroi_pool import prroi_pool, prroi_pool_in_one_product
from lib.models.aiatrack.references import KeyValue
from lib.models.aiatrack.timm_import import timm

FACTORS_PAY = 4  # tokens per width of a head, from which on products with factors are cheaper


def speed_up_training(model: AiATrack) -> None:
    """Replace, in place, what a training step computes slowly; names of parameters stay."""
    body = model.backbone.get_submodule("0.body")
    _fold_frozen_norms(body)
    _pool_before_relu(body)
    for parent in list(model.transformer.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, AiAAttention) and FactoredTrainingAttention.pays(child):
                setattr(parent, name, FactoredTrainingAttention(child))
    if model.iou_head.pool is prroi_pool:
        model.iou_head.pool = pool_in_training


def pool_in_training(features: Tensor, box_xyxy: Tensor, size: int, scale: float = 1.0) -> Tensor:
    """As `prroi_pool`, in fp32 under autocast too."""
    with torch.autocast(features.device.type, enabled=False):
        return prroi_pool_in_one_product(features, box_xyxy, size, scale)


class FactoredTrainingAttention(AiAAttention):
    """AiA attention whose inner attention never multiplies two N x N maps."""

    def __init__(self, attention: AiAAttention) -> None:
        """Share the parameters of an attention."""
        nn.Module.__init__(self)
        self.__dict__.update(attention.__dict__)

    @staticmethod
    def pays(attention: AiAAttention) -> bool:
        """Whether it has an inner attention and factors of its maps are small."""
        width = attention.out_proj.in_features // attention.heads
        return attention.inner_attn is not None and attention.tokens >= FACTORS_PAY * width

    def correlation(self, query: Tensor, memory: KeyValue, inner_pos: Tensor) -> Tensor:
        """As `AiAAttention.correlation`. Letters as in attention.py of this folder.

        Dropout leaves rows of P that do not sum to 1, so LayerNorm's bias b, the same for all keys,
        goes along as one more column: r = P [K / s, 1] ((I + W_out) [diag(g) Qc, b])^T + b_out.
        """
        inner = cast(InnerAttention, self.inner_attn)
        q, out_proj, norm = self.project_query(query), inner.corr_attn.out_proj, inner.feat_norm2
        centred = q - q.mean(-2, keepdim=True)  # (B, h, N, d)
        columns = torch.cat(
            [
                centred * norm.weight[:, None],
                norm.bias[:, None].to(q.dtype).expand(*q.shape[:-1], 1),
            ],
            -1,
        )
        columns = columns + out_proj.weight @ columns  # (B, h, N, d + 1)
        z = inner.feat_norm1(memory.key @ (inner.corr_proj.weight @ q).mT + inner.corr_proj.bias)
        frames = (-1, self.tokens)
        z = z.unflatten(2, frames) + inner_pos.unflatten(1, frames)[:, None]  # (B, h, R, N, D)
        values = self._normalised(memory.key, centred, norm.eps)  # (B, h, R*N, d + 1)
        attended = inner.corr_attn.attend(z, values.unflatten(2, frames)).flatten(2, 3)
        correction = attended @ columns.mT + out_proj.bias  # (B, h, R*N, N)
        return memory.key @ q.mT + F.dropout(correction, self.dropout, self.training)

    def _normalised(self, key: Tensor, centred: Tensor, eps: float) -> Tensor:
        """[K / s, 1], (B, h, R*N, d + 1): s is a key's deviation over the (B, h, N, d) queries."""
        with torch.autocast(key.device.type, enabled=False):  # in bf16, variances lose their digits
            key, centred = key.float(), centred.float()
            scatter = centred.mT @ centred / self.tokens  # (B, h, d, d)
            variance = ((key @ scatter) * key).sum(-1, keepdim=True).clamp(min=0)
            return F.pad(key * (variance + eps).rsqrt(), (0, 1), value=1.0)


class FoldedConv2d(nn.Conv2d):
    """A convolution that multiplies its weights by what frozen batch norm multiplies its result."""

    def __init__(self, conv: nn.Conv2d, norm: "FoldedNorm") -> None:
        """Share the parameters of a convolution and the buffers of the norm after it."""
        nn.Module.__init__(self)
        self.__dict__.update(conv.__dict__)
        self.norm = (norm,)  # which is a child of another module

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H', W'), normalised."""
        norm: Any = self.norm[0]
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        mean = norm.running_mean if self.bias is None else norm.running_mean - self.bias
        weight = self.weight * scale[:, None, None, None]
        return self._conv_forward(x, weight, norm.bias - mean * scale)


class FoldedNorm(nn.Module):
    """A frozen batch norm whose work the convolution before it does; it keeps the buffers."""

    def __init__(self, norm: nn.Module) -> None:
        """Share the buffers of a frozen batch norm."""
        nn.Module.__init__(self)
        self.__dict__.update(norm.__dict__)

    def forward(self, x: Tensor) -> Tensor:
        """Pass on what is normalised, through the activation that is part of some norms."""
        act = getattr(self, "act", None)
        return x if act is None else act(x)


class _Tracer(Tracer):
    """Leaves frozen norms whole."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether to record a call of a module, not what it does."""
        return _is_frozen_norm(m) or super().is_leaf_module(m, module_qualified_name)


def _is_frozen_norm(module: nn.Module) -> bool:
    kinds = timm.layers.norm_act
    return type(module) in (kinds.FrozenBatchNorm2d, kinds.FrozenBatchNormAct2d)


def _fold_frozen_norms(body: nn.Module) -> None:
    """Fold frozen norms into convolutions that nothing else reads, where torch.fx can see that."""
    try:
        traced = GraphModule(body, _Tracer().trace(body))
    except TRACE_ERRORS:
        return
    for node in traced.graph.nodes:
        norm = layer_of(traced, node)
        if norm is None or not _is_frozen_norm(norm):
            continue
        before = node.all_input_nodes[0]
        conv = layer_of(traced, before)
        if type(conv) is nn.Conv2d and len(before.users) == 1:
            folded = FoldedNorm(norm)
            body.set_submodule(str(node.target), folded)
            body.set_submodule(str(before.target), FoldedConv2d(conv, folded))


def _pool_before_relu(body: nn.Module) -> None:
    """Let a ReLU see a quarter of the map: the greatest of a window is the same either way."""
    children = list(body.named_children())
    for (name, child), (following, next_child) in itertools.pairwise(children):
        if (name, following) == ("act1", "maxpool") and type(child) is nn.ReLU:
            if type(next_child) is nn.MaxPool2d:
                body.act1, body.maxpool = next_child, child
