"""Guards synthetic sets: a number is a clip, validation has photographs of its own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from layouts import write_photographs

from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.procedural import ProceduralTextures
from lib.train.data.processing import SearchConfig
from lib.train.data.random_boxes import Jitter
from lib.train.data.sampler import TrackingSampler
from lib.train.dataset import build_dataset
from lib.train.dataset.synthetic import MIN_VISIBLE, SyntheticClips
from lib.utils.paths import DataPath

SMALL = ClipOptions(length=60, height=72, width=96, object_size=(0.2, 0.4))
WINDOWS = SearchConfig(64, 4.0, Jitter(0, 0), Jitter(1, 0.1))


def make_clips(seed: int = 1, options: ClipOptions = SMALL) -> SyntheticClips:
    return SyntheticClips("SYNTHETIC", ProceduralTextures(), seed=seed, options=options, clips=50)


def test_a_number_is_a_clip() -> None:
    one, two, other = make_clips(), make_clips(), make_clips(seed=2)
    for clip in (3, 0, 3):  # also when it was asked for before, and others between
        two.boxes(1)
        assert np.array_equal(one.boxes(clip), two.boxes(clip))
        assert np.array_equal(one.read_frame(clip, 7), two.read_frame(clip, 7))
    assert not np.array_equal(one.read_frame(3, 7), other.read_frame(3, 7))
    assert not np.array_equal(one.read_frame(3, 7), one.read_frame(4, 7))


def test_what_the_sampler_relies_on() -> None:
    dataset = make_clips(options=ClipOptions(leave=1.0, speed=(0.2, 0.5)))
    assert len(dataset) == len(dataset.lengths) == len(dataset.visible_counts) == 50
    for clip in range(6):
        visible, boxes = dataset.visible(clip), dataset.boxes(clip)
        assert visible.shape == (dataset.lengths[clip],) and boxes.shape == (len(visible), 4)
        assert np.count_nonzero(visible) >= dataset.visible_counts[clip] == MIN_VISIBLE
        assert (boxes[visible][:, 2:] > 0).all()


def test_samples_are_drawn_as_from_any_set() -> None:
    sampler = TrackingSampler([make_clips()], [1], WINDOWS, max_gap=200)
    first, again = (sampler.draw(np.random.default_rng(5)) for _ in range(2))
    assert "SYNTHETIC 1/" in first.source
    for one, two in zip(first, again, strict=True):
        assert one.equal(two) if isinstance(one, torch.Tensor) else one == two


def test_a_target_that_is_hardly_ever_seen() -> None:
    options = ClipOptions(length=60, height=72, width=96, object_size=(0.9, 1), min_cover=0.5)
    dataset = make_clips(options=options.__class__(**{**vars(options), "occluders": (60, 60)}))
    with pytest.raises(RuntimeError, match="no clip in 20 whose target is visible in 7"):
        dataset.boxes(0)


def test_photographs_are_split(tmp_path: Path) -> None:
    write_photographs(tmp_path, 11)

    def found(setting: str) -> DataPath:
        assert setting == "photographs"
        return DataPath(tmp_path, "the test")

    train, val = (build_dataset(name, found) for name in ("SYNTHETIC", "SYNTHETIC_VAL"))
    seen, held_out = (set(s._textures.numbers.tolist()) for s in (train, val))
    assert held_out == {0, 10} and seen == set(range(1, 10))
    assert train.read_frame(0, 0).shape == (240, 320, 3)


def test_procedural_textures_need_no_data() -> None:
    def found(setting: str) -> DataPath:
        raise AssertionError(f"asked for {setting}")

    train, val = (build_dataset(f"SYNTHETIC_PROCEDURAL{s}", found) for s in ("", "_VAL"))
    assert not np.array_equal(train.read_frame(0, 0), val.read_frame(0, 0))


def test_no_photographs(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        build_dataset("SYNTHETIC", lambda setting: DataPath(tmp_path, "SETTING"))
    for part in ("SYNTHETIC: ", str(tmp_path), "from SETTING", "SYNTHETIC_PROCEDURAL needs none"):
        assert part in str(caught.value)
