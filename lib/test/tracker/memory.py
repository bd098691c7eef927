"""What the tracker remembers: the first frame for ever, recent ones up to a capacity.

Source: docs/method.md, section 3. Every video has its own.
"""

from collections.abc import Sequence

from lib.models.aiatrack.references import References, concat_references


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
        return sum(x.nbytes for x in (*newest.short, newest.inner_pos))

    def recent_entries(self) -> list[int]:
        """Numbers of the entries in the short-term places: spread evenly, the newest among them."""
        last = len(self.entries) - 1
        return [last * (i + 1) // self.ensemble for i in range(self.ensemble)]
