"""AiA attention on factors of its maps: same weights, same result, far less work.

Source: algebra on lib/models/aiatrack/attention.py, which stays the eager layer.

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

import math
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.aiatrack.attention import AiAAttention
from lib.models.aiatrack.fast import support
from lib.models.aiatrack.fast.graphs import buffer
from lib.models.aiatrack.references import KeyValue, References
from lib.models.aiatrack.transformer import DecoderLayer


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


class Queries(NamedTuple):
    """Queries (B, h, N, d); what they have in common is kept apart, to drown nothing in bf16."""

    q: Tensor
    mean: Tensor  # (B, h, 1, d) over the N of them
    centred: Tensor  # without it
    scatter: Tensor  # (B, h, d, d), N times their covariance

    def halves(self) -> tuple["Queries", "Queries"]:
        """Those of the first h / 2 heads, and of the others."""
        pairs = [x.chunk(2, 1) for x in self]
        return Queries(*(pair[0] for pair in pairs)), Queries(*(pair[1] for pair in pairs))


def centre(q: Tensor) -> Queries:
    """Make what is needed of (B, h, N, d) scaled queries."""
    mean = q.mean(-2, keepdim=True)
    centred = q - mean
    return Queries(q, mean, centred, centred.transpose(-2, -1) @ centred)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, M, C) -> (B, h, M, d)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


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
        self.qk_weight = buffer(torch.cat([q_weight * scale, k_weight]))
        self.qk_bias = buffer(torch.cat([q_bias * scale, k_bias]))
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
        k = F.linear(key, self.qk_weight.chunk(2)[1], self.qk_bias.chunk(2)[1])
        v = F.linear(value, self.v_weight, self.v_bias)
        return KeyValue(split_heads(k, self.heads), split_heads(v, self.heads))

    def forward(self, query: Tensor, memory: KeyValue, inner_pos: Tensor) -> Tensor:
        """As `AiAAttention.forward`: (B, N, C), R frames of keys, (B, R*N, D) -> (B, N, C)."""
        weight, bias = self.qk_weight.chunk(2)[0], self.qk_bias.chunk(2)[0]
        q = split_heads(F.linear(query, weight, bias), self.heads)
        return self.attend(centre(q), memory, inner_pos)

    def attend_itself(self, x: Tensor, value: Tensor, inner_pos: Tensor) -> Tensor:
        """As `AiAAttention.attend_itself`, queries and keys in one product."""
        q, k = F.linear(x, self.qk_weight, self.qk_bias).chunk(2, -1)
        v = F.linear(value, self.v_weight, self.v_bias)
        memory = KeyValue(split_heads(k, self.heads), split_heads(v, self.heads))
        return self.attend(centre(split_heads(q, self.heads)), memory, inner_pos)

    def attend(self, queries: Queries, memory: KeyValue, inner_pos: Tensor) -> Tensor:
        """From queries, which are scaled, to R frames of keys, (B, R*N, D) -> (B, N, C)."""
        products = self.query_weight @ queries.centred
        t, wq = products.tensor_split([self.tokens], -2)  # over all queries
        wq = torch.addcmul(wq, self.mean_weight, queries.mean)
        u = self._attend_inside(queries.scatter, wq, memory.key, inner_pos)  # (B, h, R*N, d)
        # The refined map is [K U] [Q T]^T.
        query, key = torch.cat([queries.q, t], -1), torch.cat([memory.key, u], -1)
        attended = _attend(query, key, memory.value, self.fuses_bf16)  # (B, h, N, d)
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def _attend_inside(self, scatter: Tensor, wq: Tensor, key: Tensor, inner_pos: Tensor) -> Tensor:
        """U = P (K / s) of each frame on its own, over sqrt(N), (B, h, R*N, d); wq (B, h, D, d)."""
        variance = ((key @ scatter) * key).sum(-1, keepdim=True)  # N times that of a key's column
        # Rounding can take it below 0.
        values = key * (variance.clamp(min=0) + self.tokens * self.eps).rsqrt()
        products = (key.flatten(0, 1), wq.flatten(0, 1).transpose(-2, -1))
        projected = torch.baddbmm(self.corr_bias, *products).unflatten(0, (-1, self.heads))
        z = self.norm(projected) + inner_pos[:, None]
        inner_q, inner_k = F.linear(z, self.inner_weight, self.inner_bias).chunk(2, -1)
        parts = (inner_q, inner_k, values)  # of frames on their own: (B, h*R, N, ...)
        q, k, v = (x.reshape(x.shape[0], -1, self.tokens, x.shape[-1]) for x in parts)
        return _attend(q, k, v, self.fuses_bf16).reshape(key.shape)


class FactoredDecoderLayer(DecoderLayer):
    """A decoder layer with factored attentions, whose queries are made together."""

    def __init__(self, layer: DecoderLayer) -> None:
        """Take the modules of a layer."""
        nn.Module.__init__(self)
        for name, child in layer.named_children():
            self.add_module(name, child)
        attentions = (cast(Any, self.long_term_attn), cast(Any, self.short_term_attn))
        self.q_weight = buffer(torch.cat([a.qk_weight.chunk(2)[0] for a in attentions]))
        self.q_bias = buffer(torch.cat([a.qk_bias.chunk(2)[0] for a in attentions]))

    def forward(self, x: Tensor, first: References, recent: References) -> Tensor:
        """As `DecoderLayer.forward`."""
        long_attn, short_attn = cast(Any, self.long_term_attn), cast(Any, self.short_term_attn)
        q = split_heads(F.linear(x, self.q_weight, self.q_bias), 2 * long_attn.heads)
        long_queries, short_queries = centre(q).halves()
        long = long_attn.attend(long_queries, first.long_term(), first.inner_pos)
        short = short_attn.attend(short_queries, recent.short, recent.inner_pos)
        return self._feed_forward(self.norm1(x + self.dropout(long) + self.dropout(short)))
