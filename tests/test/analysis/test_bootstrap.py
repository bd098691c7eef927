"""Guards the intervals of differences: coverage, seeds, small sets, speed."""

import time

import numpy as np
import pytest

from lib.test.analysis.bootstrap import CONFIDENCE, paired_intervals


def test_as_the_normal_distribution_has_it() -> None:
    values = np.random.default_rng(3).normal(0.4, 2, (400, 1))
    (interval,) = paired_intervals(values)
    half = 1.96 * values.std() / np.sqrt(400)  # of the mean's distribution
    assert interval[:2] == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)
    assert paired_intervals(values) == [interval]  # seeded
    _, mirrored = paired_intervals(np.hstack([values, -values]))
    assert mirrored[:2] == pytest.approx((-interval.high, -interval.low))


def test_coverage() -> None:
    """The truth lies inside about as often as promised."""
    generator = np.random.default_rng(1)
    sets = [generator.normal(1, 3, (60, 1)) for _ in range(200)]
    inside = [low <= 1 <= high for ((low, high, _),) in map(paired_intervals, sets)]
    assert np.mean(inside) == pytest.approx(CONFIDENCE, abs=0.04)


@pytest.mark.parametrize(
    ("differences", "within"),
    [
        pytest.param([1, -1, 1, -1, 1, -1, 1], True, id="both ways"),
        pytest.param([0] * 9, True, id="equal runs"),
        pytest.param([1, 1, 1, 1, 2, 3], False, id="gain"),
        pytest.param([-1, -1, -1, -1, -2, -3], False, id="loss"),
        pytest.param([1, 1, 1, 1, 2], True, id="too few to tell"),  # a coin: 2 / 2^5 > 5 %
        pytest.param([3], True, id="one"),
    ],
)
def test_chance(differences: list[float], within: bool) -> None:
    (interval,) = paired_intervals(np.array(differences, float)[:, None])
    assert interval.within_chance == within
    assert str(interval).endswith("], within chance" if within else "]")


def test_a_benchmark_takes_a_moment_and_little_memory() -> None:
    start = time.perf_counter()
    paired_intervals(np.ones((280, 6)))  # LaSOT, all figures: 0.2 s
    assert time.perf_counter() - start < 5
