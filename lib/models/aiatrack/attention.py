"""Attention in attention: multi-head attention, its correlations refined by a second attention.

Source: the paper, section 3.1; docs/method.md, section 2. It serves as self- and cross-attention.
B batch, h heads, d = C/h, N tokens of one frame (also the queries), R frames among the keys, D
match width.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.aiatrack.references import KeyValue


class AiAAttention(nn.Module):
    """Multi-head attention over frames of N tokens, its correlations refined by an inner one."""

    def __init__(
        self,
        dim: int,
        heads: int,
        tokens: int,
        match_dim: int,
        dropout: float = 0.1,
        *,
        use_aia: bool = True,
    ) -> None:
        """Take dim: C, heads: h, which divides C, tokens: N per frame, match_dim: D.

        use_aia: without it this is ordinary multi-head attention.
        """
        super().__init__()
        self.heads = heads
        self.tokens = tokens
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.inner_attn = InnerAttention(tokens, match_dim, dropout) if use_aia else None
        self.out_proj = nn.Linear(dim, dim)
        nn.init.zeros_(self.out_proj.bias)

    def project(self, key: Tensor, value: Tensor) -> KeyValue:
        """Project (B, R*N, C) keys and values for use by `forward`, now or later."""
        _, key_weight, value_weight = self.in_proj_weight.chunk(3)
        _, key_bias, value_bias = self.in_proj_bias.chunk(3)
        return KeyValue(
            self._split_heads(F.linear(key, key_weight, key_bias)),
            self._split_heads(F.linear(value, value_weight, value_bias)),
        )

    def forward(self, query: Tensor, memory: KeyValue, inner_pos: Tensor) -> Tensor:
        """Attend from N queries to the tokens of R frames.

        Args:
            query: (B, N, C).
            memory: projected keys and values.
            inner_pos: (B, R*N, D) inner position encoding of the keys.

        Returns:
            (B, N, C).
        """
        correlation = self.correlation(query, memory, inner_pos)
        # Kept: the padding mask is not applied; padded cells compete in the softmax.
        weights = correlation.transpose(-2, -1).softmax(-1)  # (B, h, N, R*N)
        weights = F.dropout(weights, self.dropout, self.training)
        return self.out_proj((weights @ memory.value).transpose(1, 2).flatten(2))  # (B, N, C)

    def attend_itself(self, x: Tensor, value: Tensor, inner_pos: Tensor) -> Tensor:
        """`forward` from (B, N, C) queries to keys that are the same, and values of their own."""
        return self(x, self.project(x, value), inner_pos)

    def correlation(self, query: Tensor, memory: KeyValue, inner_pos: Tensor) -> Tensor:
        """Correlate and refine: arguments as of `forward` -> (B, h, R*N, N)."""
        return self.refine(self.correlate(query, memory), inner_pos)

    def project_query(self, query: Tensor) -> Tensor:
        """(B, N, C) -> (B, h, N, d) queries, scaled."""
        query_weight, query_bias = self.in_proj_weight.chunk(3)[0], self.in_proj_bias.chunk(3)[0]
        q = self._split_heads(F.linear(query, query_weight, query_bias))
        return q * (1 / math.sqrt(q.shape[-1]))

    def correlate(self, query: Tensor, memory: KeyValue) -> Tensor:
        """Correlate keys with (B, N, C) queries -> (B, h, R*N, N): a row is a key's column of M."""
        return memory.key @ self.project_query(query).transpose(-2, -1)

    def refine(self, correlation: Tensor, inner_pos: Tensor) -> Tensor:
        """Add the inner attention's correction, if there is one: (B, h, R*N, N) -> same shape."""
        if self.inner_attn is None:
            return correlation
        frames = correlation.unflatten(2, (-1, self.tokens))  # (B, h, R, N, N)
        positions = inner_pos.unflatten(1, (-1, self.tokens))[:, None]  # (B, 1, R, N, D)
        return correlation + self.inner_attn(frames, positions).flatten(2, 3)

    def _split_heads(self, x: Tensor) -> Tensor:
        """(B, M, C) -> (B, h, M, d)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class InnerAttention(nn.Module):
    """Consensus among the correlation columns of one frame: the attention inside AiA."""

    def __init__(self, tokens: int, match_dim: int, dropout: float = 0.1) -> None:
        """Take tokens: N, match_dim: D."""
        super().__init__()
        self.dropout = dropout
        self.corr_proj = nn.Linear(tokens, match_dim)
        self.corr_attn = CorrelationAttention(tokens, match_dim, dropout)
        self.feat_norm1 = nn.LayerNorm(match_dim)
        self.feat_norm2 = nn.LayerNorm(tokens)

    def forward(self, columns: Tensor, inner_pos: Tensor) -> Tensor:
        """Compute the correction to add to the correlations.

        Args:
            columns: (..., N, N), row j holds the correlations of key j with all queries.
            inner_pos: (..., N, D) position encoding of the keys, broadcast.

        Returns:
            (..., N, N) in the layout of `columns`.
        """
        z = self.feat_norm1(self.corr_proj(columns)) + inner_pos  # (..., N, D)
        attended = self.corr_attn(z, self.feat_norm2(columns))  # (..., N, N)
        return F.dropout(attended, self.dropout, self.training)


class CorrelationAttention(nn.Module):
    """One-head attention over correlation columns; values are not projected, the output is."""

    def __init__(self, tokens: int, match_dim: int, dropout: float = 0.1) -> None:
        """Take tokens: N, match_dim: D."""
        super().__init__()
        self.dropout = dropout
        self.q_proj_weight = nn.Parameter(torch.empty(match_dim, match_dim))
        self.k_proj_weight = nn.Parameter(torch.empty(match_dim, match_dim))
        self.q_proj_bias = nn.Parameter(torch.zeros(match_dim))
        self.k_proj_bias = nn.Parameter(torch.zeros(match_dim))
        self.out_proj = nn.Linear(tokens, tokens)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, z: Tensor, values: Tensor) -> Tensor:
        """Attend: (..., N, D) tokens, (..., N, N) values -> (..., N, N)."""
        attended = self.attend(z, values)
        return attended + self.out_proj(attended)

    def attend(self, z: Tensor, values: Tensor) -> Tensor:
        """`forward` without its projection: (..., N, D), (..., N, M) -> (..., N, M)."""
        q = F.linear(z, self.q_proj_weight, self.q_proj_bias)
        k = F.linear(z, self.k_proj_weight, self.k_proj_bias)
        weights = ((q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1)).softmax(-1)
        return F.dropout(weights, self.dropout, self.training) @ values
