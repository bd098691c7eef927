"""What the tracker remembers: the first frame for ever, recent ones up to a capacity.

Source: the paper, section 3.3; spec section 3. Keys and values are cached when a frame is
remembered. Every video has a memory of its own; for a pass of several they are joined, a row each.
"""

from typing import TypeVar

import torch
from torch import Tensor

from lib.models.aiatrack.aiatrack import concat_references
from lib.models.aiatrack.transformer import References

Nested = TypeVar("Nested")  # a tensor, a NamedTuple of such, or None


class ReferenceMemory:
    """References of the frames of one video, and which of them the decoder sees."""

    def __init__(self, first: References, capacity: int, ensemble: int) -> None:
        """Remember the first frame; it fills every short-term place.

        Args:
            first: of the first frame, long-term part included.
            capacity: most frames remembered, the first included.
            ensemble: short-term references the decoder sees.
        """
        self.first = first
        self.capacity = capacity
        self.ensemble = ensemble
        self._entries = [first._replace(long=None)]
        self.recent = self._select()

    def __len__(self) -> int:
        """Frames remembered."""
        return len(self._entries)

    def memorize(self, references: References) -> None:
        """Add a frame; at capacity the oldest that is not the first one goes."""
        if len(self._entries) >= self.capacity:
            del self._entries[1]
        self._entries.append(references)
        self.recent = self._select()

    def bytes_per_frame(self) -> int:
        """What one remembered frame keeps: keys, values and inner encodings."""
        newest = self._entries[-1]
        return sum(x.numel() * x.element_size() for x in (*newest.short, newest.inner_pos))

    def recent_entries(self) -> list[int]:
        """Numbers of the entries in the short-term places: spread evenly, the newest among them."""
        last = len(self._entries) - 1
        return [last * (i + 1) // self.ensemble for i in range(self.ensemble)]

    def _select(self) -> References:
        """Concatenate the short-term references that the decoder sees."""
        return concat_references([self._entries[i] for i in self.recent_entries()])


def stack_references(items: list[Nested]) -> Nested:
    """Put the references of several videos below each other, along the first axis of each tensor.

    One alone is passed on as it is.
    """
    item = items[0]
    if item is None or len(items) == 1:
        return item
    if isinstance(item, Tensor):
        return torch.cat(items)
    return type(item)(*(stack_references(list(parts)) for parts in zip(*items, strict=True)))


def unbind_references(item: Nested, count: int) -> list[Nested]:
    """Undo `stack_references`; rows are copied, so that none keeps the others alive."""
    if item is None or count == 1:
        return [item] * count
    if isinstance(item, Tensor):
        return [row.clone() for row in item.split(1)]
    parts = (unbind_references(part, count) for part in item)
    return [type(item)(*row) for row in zip(*parts, strict=True)]
