"""Guards batches: they follow from the seed, not from workers or how ranks share them."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lib.train.data.batch import CompactSample
from lib.train.data.loader import BrokenDataError, Loader, build_loader

ROOT = Path(__file__).resolve().parents[3]


class FirstDraws:
    """Samples that hold the first draw of their generator."""

    def __init__(self, broken_every: int = 0) -> None:
        self._broken_every = broken_every

    def draw(self, generator: np.random.Generator) -> CompactSample:
        value = torch.tensor([generator.random()], dtype=torch.float64)
        names = ""
        if self._broken_every and generator.integers(self._broken_every) == 0:
            names = f"SET: x/{generator.integers(2)}.jpg: the file is empty"
        return CompactSample(*[value] * 7, source="made", rejected=1, broken=names)


def _loader(sampler: FirstDraws | None = None, **changed: int) -> Loader:
    settings = {"batch_size": 4, "workers": 0, "seed": 5, "epoch_length": 24} | changed
    return build_loader(sampler or FirstDraws(), **settings)


def _values(loader: Loader, epoch: int) -> list[list[float]]:
    loader.set_epoch(epoch)
    return [batch.crops[:, 0].tolist() for batch in loader]


def test_batches_follow_from_the_seed_alone() -> None:
    loader = _loader()
    first, second = _values(loader, 0), _values(loader, 1)
    assert len(loader) == len(first) == 6 and all(len(batch) == 4 for batch in first)
    everything = np.concatenate([*first, *second])
    assert len(np.unique(everything)) == 48
    assert _values(_loader(), 1) == second  # as after a restart
    assert _values(loader, 0) == first
    assert _values(_loader(seed=6), 0) != first


def test_workers_change_nothing() -> None:
    loader = _loader(workers=2)
    assert [_values(loader, epoch) for epoch in (0, 1)] == [
        _values(_loader(), epoch) for epoch in (0, 1)
    ]


def test_ranks_share_what_one_process_would_see() -> None:
    whole = _values(_loader(), 3)
    parts = [_values(_loader(batch_size=2, rank=rank, world_size=2), 3) for rank in (0, 1)]
    assert [left + right for left, right in zip(*parts, strict=True)] == whole


def test_going_on_within_an_epoch() -> None:
    whole = _values(_loader(), 2)
    loader = _loader()
    loader.set_epoch(2, first_batch=4)
    assert [batch.crops[:, 0].tolist() for batch in loader] == whole[4:]


def test_what_does_not_fill_a_batch_on_every_rank_is_left_out() -> None:
    assert len(_loader(epoch_length=31, batch_size=3, world_size=2)) == 5


def test_broken_images_are_counted_and_each_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loader = _loader(FirstDraws(400), epoch_length=4000, batch_size=50, workers=2)
    with caplog.at_level(logging.WARNING):
        _values(loader, 0)
    assert (loader.delivered, loader.rejected) == (4000, 4000)
    assert loader.broken == pytest.approx(10, abs=9)
    assert len(caplog.records) == min(2, loader.broken)
    assert "SET: x/" in caplog.text


def test_more_than_one_percent_broken_ends_it() -> None:
    loader = _loader(FirstDraws(5), epoch_length=10_000)
    with pytest.raises(BrokenDataError, match=r"11 of \d+ draws met an unreadable image") as error:
        _values(loader, 0)
    assert "SET: x/0.jpg" in str(error.value)
    assert loader.delivered < 200  # at once, not at the end of the epoch


def test_the_end_of_a_short_epoch_judges_too() -> None:
    loader = _loader(FirstDraws(5), epoch_length=24)
    seen = []
    with pytest.raises(BrokenDataError, match="more than 1%"):
        for batch in loader:
            seen.append(batch)
    assert len(seen) == 6


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epoch_length": 3}, "an epoch of 3 samples does not fill one batch of 4 on each of 1"),
        ({"epoch_length": 7, "world_size": 2}, "does not fill one batch of 4 on each of 2"),
        ({"batch_size": 0}, "batch_size 0 must be at least 1"),
        ({"rank": 2, "world_size": 2}, r"rank 2 in 0\.\.1"),
    ],
)
def test_impossible_numbers(changed: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _loader(**changed)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["pass", "raise SystemExit(3)"])
def test_workers_end_with_their_process(ending: str) -> None:
    """A loader that is still referenced, as by a traceback, does not keep a process from ending."""
    script = (
        "from tests.train.data.test_loader import _loader\n"
        "loader = _loader(workers=2)\n"
        f"batches = iter(loader)\nnext(batches)\n{ending}\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], timeout=60, env=environment)
    assert done.returncode == (0 if ending == "pass" else 3)
