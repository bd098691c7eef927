"""Guards augmentations: how often, and what they do to pixels and boxes; numbers by hand."""

import cv2
import numpy as np
import pytest

from lib.train.data.transforms import (
    CropTransform,
    FrameTransform,
    cut_transformed,
    draw_crop_transform,
    draw_frame_transform,
    transform_box,
    transform_crop,
)
from lib.utils.crop import Crop, CropImage

DRAWS = 10_000
WINDOW = Crop(5, 3, 30, 16, (20.0, 18.0))


def _frame(seed: int = 0, height: int = 40, width: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def _grey(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def test_frequencies_of_frame_changes() -> None:
    generator = np.random.default_rng(1)
    drawn = np.array([draw_frame_transform(generator) for _ in range(DRAWS)])
    # Standard deviations of the shares: sqrt(.05 * .95 / 10000) = .0022 and .005; four of each.
    assert drawn[:, 0].mean() == pytest.approx(0.05, abs=0.009)
    assert drawn[:, 1].mean() == pytest.approx(0.5, abs=0.02)
    both = (drawn[:, 0] & drawn[:, 1]).mean()
    assert both == pytest.approx(0.025, abs=0.0065)  # independent of each other


def test_frequencies_of_crop_changes() -> None:
    generator = np.random.default_rng(2)
    drawn = [draw_crop_transform(generator) for _ in range(DRAWS)]
    brightness = np.array([change.brightness for change in drawn])
    assert 0.8 <= brightness.min() < 0.801 and 1.199 < brightness.max() <= 1.2
    counts = np.histogram(brightness, 4, (0.8, 1.2))[0]
    assert np.abs(counts - DRAWS / 4).max() < 4 * np.sqrt(DRAWS * 0.25 * 0.75)
    assert np.mean([change.flip for change in drawn]) == pytest.approx(0.5, abs=0.02)


def test_chance_of_mirrored_crops_is_the_recipes() -> None:
    """Whatever the chance, as much is drawn: the rest of a sample stays the same."""
    for chance in (0.0, 1.0):
        generator, usual = np.random.default_rng(3), np.random.default_rng(3)
        changes = [draw_crop_transform(generator, chance) for _ in range(50)]
        assert all(change.flip == bool(chance) for change in changes)
        assert [c.brightness for c in changes] == [
            draw_crop_transform(usual).brightness for _ in range(50)
        ]


def test_nothing_drawn_changes_nothing() -> None:
    frame, box = _frame(), np.array([10.0, 5, 20, 12])
    nothing = FrameTransform(grey=False, flip=False)
    assert transform_box(box, 60, nothing) is box
    for got, cut in zip(cut_transformed(WINDOW, frame, nothing), WINDOW.cut(frame), strict=True):
        assert np.array_equal(got, cut)


def test_flip_of_a_box() -> None:
    box, flip = np.array([10.0, 5, 20, 12]), FrameTransform(grey=False, flip=True)
    # Corners 10 and 30 in 60 columns go to 59 - 10 = 49 and 59 - 30 = 29.
    moved = transform_box(box, 60, flip)
    assert moved.tolist() == [29, 5, 20, 12]
    assert transform_box(moved, 60, flip).tolist() == box.tolist()


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    "window",
    [
        Crop(5, 3, 30, 16, (20.0, 18.0)),  # inside
        Crop(-7, 3, 30, 16, (8.0, 18.0)),  # over the left edge
        Crop(40, 20, 20, 32, (50.0, 30.0)),  # touches the last column and row
        Crop(-30, -50, 130, 48, (35.0, 15.0)),  # all of the frame and more
        Crop(70, 0, 20, 16, (80.0, 10.0)),  # beside it
    ],
)
def test_cutting_first_gives_the_same_bytes(window: Crop, flip: bool, grey: bool) -> None:
    frame = _frame(3)
    changed = _grey(frame) if grey else frame
    expected = window.cut(np.ascontiguousarray(changed[:, ::-1] if flip else changed))
    got = cut_transformed(window, frame, FrameTransform(grey, flip))
    assert np.array_equal(got.image, expected.image)
    assert np.array_equal(got.mask, expected.mask)


def test_grey_crop() -> None:
    frame = np.full((40, 60, 3), (200, 100, 50), np.uint8)
    cut = cut_transformed(WINDOW, frame, FrameTransform(grey=True, flip=False))
    assert (cut.image == 124).all()  # .299 * 200 + .587 * 100 + .114 * 50 = 124.2


def test_crop_is_packed() -> None:
    pixels, mask = _frame(5, 4, 4), np.zeros((4, 4), bool)
    mask[:, 0] = True
    box = np.array([0.1, 0.2, 0.3, 0.4])
    changed = transform_crop(CropImage(pixels, mask), box, CropTransform(1.2, False))
    assert np.array_equal(changed.image, pixels) and np.array_equal(changed.mask, mask)
    assert changed.scale == np.float32(1.2 / 255) and changed.scale.dtype == np.float32
    assert changed.box_xywh.tolist() == box.tolist()


def test_flip_of_a_crop() -> None:
    pixels, mask = _frame(7, 4, 4), np.zeros((4, 4), bool)
    mask[:, 0] = True
    box = np.array([0.1, 0.2, 0.3, 0.4])
    changed = transform_crop(CropImage(pixels, mask), box, CropTransform(1.0, True))
    assert changed.box_xywh == pytest.approx([0.6, 0.2, 0.3, 0.4])  # 1 - .1 - .3
    assert changed.mask[:, 3].all() and not changed.mask[:, :3].any()
    assert np.array_equal(changed.image, pixels[:, ::-1])
