"""What is kept of memorized frames: `memorize` makes it, `decode` reads it.

Tensors, or NumPy arrays where ONNX Runtime computes: nothing here imports torch. B targets, h
heads, d width of a head, R frames of N tokens, D match width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lib.utils.box_ops import library_of

if TYPE_CHECKING:
    from torch import Tensor


class KeyValue(NamedTuple):
    """Projected keys and values of R frames; they depend on nothing later and can be kept."""

    key: Tensor  # (B, h, R*N, d)
    value: Tensor  # (B, h, R*N, d)


class References(NamedTuple):
    """What the decoder needs of R memorized frames."""

    long: KeyValue | None  # as long-term reference; None where only the short-term part is kept
    short: KeyValue  # as short-term reference
    inner_pos: Tensor  # (B, R*N, D)

    def long_term(self) -> KeyValue:  # no property: torch.compile of 2.6 traces none here
        """`long`. Raises ValueError where it was not kept."""
        if self.long is None:
            raise ValueError("references without a long-term part cannot be the first ones")
        return self.long


def concat_references(references: list[References]) -> References:
    """Put short-term references of the same targets one after another along the token axis."""
    concatenate = library_of(references[0].inner_pos).concatenate
    key = concatenate([r.short.key for r in references], -2)
    value = concatenate([r.short.value for r in references], -2)
    inner_pos = concatenate([r.inner_pos for r in references], -2)
    return References(None, KeyValue(key, value), inner_pos)
