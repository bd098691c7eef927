"""Guards the memory: which frames are kept and which the decoder sees."""

import torch

from lib.models.aiatrack.references import KeyValue, References
from lib.test.tracker.memory import ReferenceMemory


def frame(number: int, *, long_term: bool = False) -> References:
    """A reference of one token that carries its frame's number."""
    value = torch.full((1, 1, 1, 1), float(number))
    kv = KeyValue(value, value)
    return References(kv if long_term else None, kv, value[0])


def seen(memory: ReferenceMemory) -> list[int]:
    """Frame numbers of the short-term references."""
    return memory.recent.short.key.flatten().int().tolist()


def kept(memory: ReferenceMemory) -> list[int]:
    """Frame numbers in the memory."""
    return [int(e.short.key.item()) for e in memory.entries]


def test_the_first_frame_fills_every_place() -> None:
    memory = ReferenceMemory(frame(0, long_term=True), 10, 3)
    assert seen(memory) == [0, 0, 0] and len(memory) == 1
    assert memory.first.long.key.item() == 0


def test_places_are_spread_and_end_with_the_newest() -> None:
    memory = ReferenceMemory(frame(0, long_term=True), 100, 3)
    expected = [
        [0, 0, 1],  # last = 1: 1*1//3, 1*2//3, 1
        [0, 1, 2],  # last = 2: 2*1//3, 2*2//3, 2
        [1, 2, 3],
        [1, 2, 4],  # last = 4: 4//3, 8//3, 4
        [1, 3, 5],
        [2, 4, 6],
    ]
    for number, places in enumerate(expected, 1):
        memory.memorize(frame(number))
        assert seen(memory) == places


def test_at_capacity_the_oldest_but_the_first_goes() -> None:
    memory = ReferenceMemory(frame(0, long_term=True), 4, 2)
    for number in range(1, 7):
        memory.memorize(frame(number))
    assert kept(memory) == [0, 4, 5, 6]
    assert memory.first.long.key.item() == 0
    smallest = ReferenceMemory(frame(0, long_term=True), 2, 1)
    for number in (1, 2, 3):
        smallest.memorize(frame(number))
    assert kept(smallest) == [0, 3] and seen(smallest) == [3]
