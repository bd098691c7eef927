"""How much of a difference between two runs is chance: a paired bootstrap over sequences.

Every draw is as many sequences as there are, with repetition, the same for both runs: what differs
between draws is which sequences a benchmark happens to hold. The seed is fixed: figures repeat.
"""

from typing import NamedTuple

import numpy as np

DRAWS = 10_000
CONFIDENCE = 0.95
SEED = 0
CHUNK = 500_000  # sequences drawn at a time, for memory's sake
FEW = 6  # of fewer, all have differences of one sign by chance in more than 1 - CONFIDENCE


class Interval(NamedTuple):
    """Where the mean of paired differences lies in CONFIDENCE of the draws."""

    low: float
    high: float
    within_chance: bool  # it holds 0, or there are too few sequences to tell

    def __str__(self) -> str:
        chance = ", within chance" if self.within_chance else ""
        return f"[{self.low:+.2f}, {self.high:+.2f}]{chance}"


def paired_intervals(differences: np.ndarray) -> list[Interval]:
    """Intervals of the means of differences (n sequences, k figures), one per figure; n >= 1."""
    n = len(differences)
    generator, step = np.random.default_rng(SEED), max(1, CHUNK // n)
    means = [
        differences[generator.integers(n, size=(min(step, DRAWS - first), n))].mean(axis=1)
        for first in range(0, DRAWS, step)
    ]
    tail = (1 - CONFIDENCE) / 2
    bounds = np.quantile(np.concatenate(means), (tail, 1 - tail), axis=0).T.tolist()  # (k, 2)
    return [Interval(low, high, n < FEW or low <= 0 <= high) for low, high in bounds]
