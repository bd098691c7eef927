"""What the tracker remembers: the first frame for ever, recent ones up to a capacity.

Source: docs/method.md, section 3. Every video has its own; for a pass of several they are stacked.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lib.models.aiatrack.aiatrack import concat_references
from lib.models.aiatrack.attention import KeyValue
from lib.models.aiatrack.transformer import References


class ReferenceMemory:
    """References of the frames of one video, and which of them the decoder sees."""

    def __init__(
        self,
        first: References,
        capacity: int,
        ensemble: int,
        entries: Sequence[References] = (),
    ) -> None:
        """Memorize the first frame, long-term part included; it fills every short-term place.

        Args:
            capacity: most frames remembered, the first included.
            ensemble: short-term references the decoder sees.
            entries: all remembered frames, the first one included, of a memory to go on with.
        """
        self.first = first
        self.capacity = capacity
        self.ensemble = ensemble
        self.entries: list[References] = []
        for references in entries or [first._replace(long=None)]:
            self.memorize(references)

    def __len__(self) -> int:
        return len(self.entries)

    def memorize(self, references: References) -> None:
        """Add a frame; at capacity the oldest that is not the first one goes."""
        if len(self.entries) >= self.capacity:
            del self.entries[1]
        self.entries.append(references)
        self.recent = concat_references([self.entries[i] for i in self.recent_entries()])

    def bytes_per_frame(self) -> int:
        """What one remembered frame keeps: keys, values and inner encodings."""
        newest = self.entries[-1]
        return sum(x.numel() * x.element_size() for x in (*newest.short, newest.inner_pos))

    def recent_entries(self) -> list[int]:
        """Numbers of the entries in the short-term places: spread evenly, the newest among them."""
        last = len(self.entries) - 1
        return [last * (i + 1) // self.ensemble for i in range(self.ensemble)]


def stack_references(items: Sequence[References]) -> References:
    """Put the references of B videos below each other, along the first axis of each tensor."""
    return items[0] if len(items) == 1 else _map(torch.cat, items)


def unbind_references(references: References, count: int) -> list[References]:
    """Undo `stack_references`; rows are copied, so that none keeps the others alive."""

    def row(index: int) -> References:
        return _map(lambda tensors: tensors[0][index : index + 1].clone(), [references])

    return [references] if count == 1 else [row(i) for i in range(count)]


def _map(function: Callable[[list[Tensor]], Tensor], items: Sequence[References]) -> References:
    """References of what a function makes of each of their tensors."""

    def pair(pairs: list[KeyValue]) -> KeyValue:
        return KeyValue(function([p.key for p in pairs]), function([p.value for p in pairs]))

    long = [item.long for item in items if item.long is not None]
    inner_pos = function([item.inner_pos for item in items])
    return References(pair(long) if long else None, pair([i.short for i in items]), inner_pos)
