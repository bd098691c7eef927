"""Guards which frames are drawn: causal, visible, near; from which set; bad draws."""

import numpy as np
import pytest
import torch

from lib.train.data.processing import SearchConfig
from lib.train.data.random_boxes import Jitter
from lib.train.data.sampler import (
    MAX_DRAWS,
    SamplingError,
    TrackingSampler,
    draw_causal_frames,
    find_usable,
)
from lib.utils.image import ImageError

DRAWS = 10_000
SEARCH_CONFIG = SearchConfig(32, 5.0, Jitter(0, 0), Jitter(4.5, 0.5))


class MadeSet:
    """A data set of equal frames; some sequences are broken or have their target elsewhere."""

    def __init__(
        self,
        name: str,
        lengths: tuple[int, ...] = (30,),
        *,
        is_video: bool = True,
        hidden: int = 0,
        broken: tuple[int, ...] = (),
        outside: tuple[int, ...] = (),
    ) -> None:
        self.name, self.is_video = name, is_video
        self.lengths = np.array(lengths)
        self.visible_counts = self.lengths - hidden
        self._hidden, self._broken, self._outside = hidden, broken, outside
        self.reads: list[tuple[int, int]] = []

    def sequence_name(self, sequence: int) -> str:
        return f"s{sequence}"

    def boxes(self, sequence: int) -> np.ndarray:
        x = 4000.0 if sequence in self._outside else 40.0
        return np.tile([x, 30.0, 20, 10], (self.lengths[sequence], 1))

    def visible(self, sequence: int) -> np.ndarray:
        return np.arange(self.lengths[sequence]) >= self._hidden

    def read_frame(self, sequence: int, frame: int) -> np.ndarray:
        self.reads.append((sequence, frame))
        if sequence in self._broken:
            raise ImageError(f"data/{sequence}/{frame}.jpg: the file is empty")
        return np.full((80, 100, 3), 128, np.uint8)


def _sampler(*datasets: MadeSet, ratios: tuple[float, ...] = (1,), gap: int = 200):
    return TrackingSampler(datasets, ratios, SEARCH_CONFIG, gap)


def test_frames_are_causal_visible_and_near() -> None:
    generator = np.random.default_rng(1)
    visible = generator.random(1000) < 0.3
    drawn = np.array([draw_causal_frames(visible, 200, generator) for _ in range(DRAWS)])
    assert (np.diff(drawn, axis=1) > 0).all()
    assert visible[drawn].all()
    # A base after the last visible frame but one makes the gap grow, by 5 or 10 at most here.
    assert 190 <= np.diff(drawn, axis=1).max() <= 210
    shown = np.flatnonzero(visible)
    assert set(drawn[:, 1]) <= set(shown[1:-1])


def test_base_is_uniform_and_never_first_or_last() -> None:
    generator = np.random.default_rng(2)
    drawn = [draw_causal_frames(np.ones(12, bool), 200, generator) for _ in range(DRAWS)]
    values, counts = np.unique([base for _, base, _ in drawn], return_counts=True)
    assert values.tolist() == list(range(1, 11))
    assert np.abs(counts - DRAWS / 10).max() < 4 * np.sqrt(DRAWS * 0.1 * 0.9)


def test_others_are_uniform_within_the_gap() -> None:
    """The earlier frame is 1 to 10 before the base, the search frame 1 to 9 after it."""
    generator = np.random.default_rng(3)
    drawn = [draw_causal_frames(np.ones(41, bool), 10, generator) for _ in range(DRAWS)]
    middle = np.array([draw for draw in drawn if 10 <= draw[1] <= 30])
    gaps = ((middle[:, 1] - middle[:, 0], 10), (middle[:, 2] - middle[:, 1], 9))
    for offsets, count in gaps:
        values, counts = np.unique(offsets, return_counts=True)
        assert values.tolist() == list(range(1, count + 1))
        assert np.abs(counts - len(middle) / count).max() < 4 * np.sqrt(len(middle) / count)


def test_the_base_is_drawn_anew_when_the_gap_grows() -> None:
    """Frames 100, 104, 410, 412, 717: only wide gaps join them."""
    visible = np.zeros(1000, bool)
    visible[[100, 104, 410, 412, 717]] = True
    generator = np.random.default_rng(4)
    drawn = {draw_causal_frames(visible, 200, generator) for _ in range(2000)}
    # The first gap that joins any three is 310: base 412, 308 after 104 and 305 before 717, needs
    # 310 as a multiple of 5 above 200; base 104 and 410 need 310 too (306 and 307 away).
    assert drawn <= {
        *((100, 104, 410), (100, 104, 412), (104, 410, 412), (100, 410, 412)),
        *((104, 410, 717), (100, 410, 717), (410, 412, 717), (104, 412, 717), (100, 412, 717)),
    }
    assert {(100, 104, 410), (104, 410, 412), (410, 412, 717)} <= drawn


def trackingnet_visible(length: int) -> np.ndarray:
    """Every 30th frame and the last, as TrackingNet's frames count."""
    visible = np.arange(length) % 30 == 0
    visible[-1] = True
    return visible


@pytest.mark.parametrize(("length", "share"), [(300, 0.2722), (180, 0.4567), (480, 0.1633)])
def test_share_of_last_frames(length: int, share: float) -> None:
    """How often TrackingNet's last frame is the search frame, by the rule's arithmetic.

    The base is uniform among the visible frames but the first and the last, the search frame among
    the later ones less than 200 away.
    """
    frames = np.flatnonzero(trackingnet_visible(length))
    later = [[f for f in frames if base < f < base + 200] for base in frames[1:-1]]
    expected = np.mean([1 / len(found) if length - 1 in found else 0.0 for found in later])
    assert expected == pytest.approx(share, abs=1e-4)
    generator = np.random.default_rng(length)
    drawn = np.array(
        [draw_causal_frames(trackingnet_visible(length), 200, generator) for _ in range(DRAWS)]
    )
    measured = np.mean(drawn[:, 2] == length - 1)
    assert abs(measured - expected) < 4 * np.sqrt(expected * (1 - expected) / DRAWS)


def test_gaps_stay_close_to_their_limit() -> None:
    """Over videos of many lengths with few visible frames, as TrackingNet's are."""
    generator = np.random.default_rng(5)
    drawn = [
        draw_causal_frames(trackingnet_visible(int(length)), 200, generator)
        for length in generator.integers(152, 2000, 4000)
    ]
    gaps = np.diff(drawn, axis=1)
    assert gaps[:, 0].max() <= 200 and gaps[:, 1].max() <= 199


def test_sets_are_drawn_by_ratio_and_sequences_uniformly() -> None:
    sampler = _sampler(MadeSet("A", (30, 30, 300)), MadeSet("B"), MadeSet("C"), ratios=(1, 3, 0))
    generator = np.random.default_rng(5)
    drawn = [sampler.draw_frames(generator) for _ in range(DRAWS)]
    names = [draw.dataset.name for draw in drawn]
    assert names.count("C") == 0
    assert names.count("A") / DRAWS == pytest.approx(0.25, abs=4 * 0.0044)
    counts = np.bincount([draw.sequence for draw in drawn if draw.dataset.name == "A"])
    assert np.abs(counts - counts.sum() / 3).max() < 4 * np.sqrt(counts.sum() * 2 / 9)


def test_which_videos_can_be_sampled() -> None:
    dataset = MadeSet("A", (19, 20, 26, 27))
    dataset.visible_counts = np.array([19, 6, 7, 8])  # more than 6 visible, length 20 at least
    assert find_usable(dataset).tolist() == [2, 3]


def test_all_boxes_invisible() -> None:
    with pytest.raises(ValueError, match="A: none of 2 sequences can be sampled; 20 frames, 7 of"):
        _sampler(MadeSet("A", (30, 30), hidden=30))
    with pytest.raises(ValueError, match="I: none of 1 sequences can be sampled; a box with an ar"):
        _sampler(MadeSet("I", (1,), is_video=False, hidden=1))


@pytest.mark.parametrize("ratios", [(1,), (1, 1, 1), (0, 0), (1, -1)])
def test_ratios_of_another_length_or_sign(ratios: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="one ratio of 0 or more for each of 2 data sets"):
        _sampler(MadeSet("A"), MadeSet("B"), ratios=ratios)


def test_an_image_is_read_once_and_used_three_times() -> None:
    dataset = MadeSet("I", (1, 1), is_video=False)
    sample = _sampler(dataset).draw(np.random.default_rng(0))
    assert len(dataset.reads) == 1 and sample.source.endswith("frames 0, 0, 0")
    assert not torch.equal(sample.crops[1], sample.crops[2])  # three windows of it


def test_unreadable_images_are_replaced_and_named() -> None:
    sampler = _sampler(MadeSet("A", (30,) * 4, broken=(0, 1, 2)))
    samples = [sampler.draw(np.random.default_rng(seed)) for seed in range(40)]
    assert all(sample.source.startswith("A s3 frames ") for sample in samples)
    lines = [line for sample in samples for line in sample.broken.splitlines()]
    assert len(lines) == pytest.approx(3 * 40, abs=4 * np.sqrt(40 * 12))  # geometric, p = 1/4
    assert all(line.startswith("A: data/") and line.endswith("is empty") for line in lines)


def test_windows_without_the_image_are_drawn_again() -> None:
    sampler = _sampler(MadeSet("A", (30,) * 2, outside=(1,)))
    samples = [sampler.draw(np.random.default_rng(seed)) for seed in range(40)]
    assert all(" s0 " in sample.source for sample in samples)
    assert sum(sample.rejected for sample in samples) > 10
    assert all(not sample.broken for sample in samples)


def test_hopeless_data_end_it() -> None:
    broken = _sampler(MadeSet("A", broken=(0,)))
    with pytest.raises(SamplingError, match=rf"no sample in {MAX_DRAWS} draws: 100 with an unrea"):
        broken.draw(np.random.default_rng(0))
    outside = _sampler(MadeSet("A", outside=(0,)))
    with pytest.raises(SamplingError, match=r"0 with .*, 100 without .* for example A s0 frames"):
        outside.draw(np.random.default_rng(0))


def test_same_seed_same_sample() -> None:
    sampler = _sampler(MadeSet("A", (30,) * 9))
    one, two, other = (sampler.draw(np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert one.source == two.source and torch.equal(one.crops, two.crops)
    assert (one.proposals == two.proposals).all()
    assert (one.proposals != other.proposals).any()
