"""Encoder and decoder layers around AiA attention, and the stack of them.

Source: the paper, section 3.2; docs/method.md, section 2. Post-norm, ReLU.
B batch, N tokens, C width, D match width.
"""

from typing import NamedTuple, cast

import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.aiatrack.attention import AiAAttention
from lib.models.aiatrack.references import KeyValue, References


class LayerOptions(NamedTuple):
    """What every layer is made of."""

    dim: int  # C
    heads: int  # h
    feedforward: int  # hidden width of the feed-forward network
    tokens: int  # N per frame
    match_dim: int  # D
    dropout: float
    aia_self: bool  # inner attention in self-attention, which the encoder has
    aia_cross: bool  # and in long-term and short-term cross-attention, which the decoder has

    def attention(self, *, use_aia: bool) -> AiAAttention:
        return AiAAttention(
            self.dim, self.heads, self.tokens, self.match_dim, self.dropout, use_aia=use_aia
        )


class _Layer(nn.Module):
    """What encoder and decoder layers share; names are those of the released state dict."""

    def __init__(self, options: LayerOptions, **use_aia: bool) -> None:
        """Register the attentions, by name, before the rest: the reference's optimizer does.

        Args:
            use_aia: attention's name -> whether it has an inner one.
        """
        super().__init__()
        for name, flag in use_aia.items():
            self.add_module(name, options.attention(use_aia=flag))
        self.linear1 = nn.Linear(options.dim, options.feedforward)
        self.linear2 = nn.Linear(options.feedforward, options.dim)
        self.norm1 = nn.LayerNorm(options.dim)
        self.norm2 = nn.LayerNorm(options.dim)
        self.dropout = nn.Dropout(options.dropout)

    def _feed_forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C), with residual and norm."""
        hidden = self.dropout(F.relu(self.linear1(x)))
        return self.norm2(x + self.dropout(self.linear2(hidden)))


class EncoderLayer(_Layer):
    """Self-attention within one frame, then the feed-forward network."""

    self_attn: AiAAttention

    def __init__(self, options: LayerOptions) -> None:
        super().__init__(options, self_attn=options.aia_self)

    def forward(self, x: Tensor, pos: Tensor, inner_pos: Tensor) -> Tensor:
        """(B, N, C) tokens, (B, N, C) and (B, N, D) encodings -> (B, N, C)."""
        attended = self.self_attn(x + pos, self.self_attn.project(x + pos, x), inner_pos)
        return self._feed_forward(self.norm1(x + self.dropout(attended)))


class Encoder(nn.Module):
    """A stack of encoder layers, without a norm of its own."""

    def __init__(self, layers: int, options: LayerOptions) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(options) for _ in range(layers))

    def forward(self, x: Tensor, pos: Tensor, inner_pos: Tensor) -> Tensor:
        """(B, N, C) tokens, (B, N, C) and (B, N, D) encodings -> (B, N, C)."""
        for layer in self.layers:
            x = layer(x, pos, inner_pos)
        return x


class DecoderLayer(_Layer):
    """Two attentions in parallel, to the first frame and to recent ones, then the feed-forward."""

    long_term_attn: AiAAttention
    short_term_attn: AiAAttention

    def __init__(self, options: LayerOptions) -> None:
        aia = options.aia_cross
        super().__init__(options, long_term_attn=aia, short_term_attn=aia)

    def project(
        self, memory: Tensor, value: Tensor, *, long_term: bool
    ) -> tuple[KeyValue | None, KeyValue]:
        """Project (B, R*N, C) reference memory and values (memory + embedding)."""
        long = self.long_term_attn.project(memory, value) if long_term else None
        return long, self.short_term_attn.project(memory, value)

    def forward(self, x: Tensor, first: References, recent: References) -> Tensor:
        """(B, N, C) search tokens -> (B, N, C)."""
        long = self.long_term_attn(x, first.long_term(), first.inner_pos)
        short = self.short_term_attn(x, recent.short, recent.inner_pos)
        return self._feed_forward(self.norm1(x + self.dropout(long) + self.dropout(short)))


class Decoder(nn.Module):
    """The one decoder layer of the paper and its final norm."""

    def __init__(self, options: LayerOptions) -> None:
        super().__init__()
        self.layers = nn.ModuleList([DecoderLayer(options)])  # of one: released names say layers.0
        self.norm = nn.LayerNorm(options.dim)

    def project(
        self, memory: Tensor, value: Tensor, *, long_term: bool
    ) -> tuple[KeyValue | None, KeyValue]:
        """See `DecoderLayer.project`."""
        layer = cast(DecoderLayer, self.layers[0])  # a list does not say what it holds
        return layer.project(memory, value, long_term=long_term)

    def forward(self, x: Tensor, first: References, recent: References) -> Tensor:
        """(B, N, C) search tokens -> (B, N, C)."""
        return self.norm(self.layers[0](x, first, recent))


class Transformer(nn.Module):
    """Encoder and decoder under the name they have in the released state dict."""

    def __init__(self, encoder_layers: int, options: LayerOptions) -> None:
        super().__init__()
        self.encoder = Encoder(encoder_layers, options)
        self.decoder = Decoder(options)
