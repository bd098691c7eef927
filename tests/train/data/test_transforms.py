"""What is drawn, how often, and what it does to pixels and boxes; numbers by hand."""

import numpy as np
import pytest
import torch

from lib.train.data.transforms import (
    CropChange,
    FrameChange,
    change_crop,
    change_frame,
    draw_crop_change,
    draw_frame_change,
)
from lib.utils.crop import CropImage

DRAWS = 10_000


def _frame(seed: int = 0, height: int = 40, width: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_frequencies_of_frame_changes() -> None:
    generator = np.random.default_rng(1)
    drawn = np.array([draw_frame_change(generator) for _ in range(DRAWS)])
    # Standard deviations of the shares: sqrt(.05 * .95 / 10000) = .0022 and .005; four of each.
    assert drawn[:, 0].mean() == pytest.approx(0.05, abs=0.009)
    assert drawn[:, 1].mean() == pytest.approx(0.5, abs=0.02)
    both = (drawn[:, 0] & drawn[:, 1]).mean()
    assert both == pytest.approx(0.025, abs=0.0065)  # independent of each other


def test_frequencies_of_crop_changes() -> None:
    generator = np.random.default_rng(2)
    drawn = [draw_crop_change(generator) for _ in range(DRAWS)]
    brightness = np.array([change.brightness for change in drawn])
    assert 0.8 <= brightness.min() < 0.801 and 1.199 < brightness.max() <= 1.2
    counts = np.histogram(brightness, 4, (0.8, 1.2))[0]
    assert np.abs(counts - DRAWS / 4).max() < 4 * np.sqrt(DRAWS * 0.25 * 0.75)
    assert np.mean([change.flip for change in drawn]) == pytest.approx(0.5, abs=0.02)


def test_nothing_drawn_changes_nothing() -> None:
    frame, box = _frame(), np.array([10.0, 5, 20, 12])
    changed, moved = change_frame(frame, box, FrameChange(grey=False, flip=False))
    assert changed is frame and moved is box


def test_flip_of_a_frame() -> None:
    frame, box = _frame(), np.array([10.0, 5, 20, 12])
    flipped, moved = change_frame(frame, box, FrameChange(grey=False, flip=True))
    # Corners 10 and 30 in 60 columns go to 59 - 10 = 49 and 59 - 30 = 29.
    assert moved.tolist() == [29, 5, 20, 12]
    assert np.array_equal(flipped[:, 0], frame[:, 59])
    again, back = change_frame(flipped, moved, FrameChange(grey=False, flip=True))
    assert np.array_equal(again, frame) and back.tolist() == box.tolist()


def test_grey_frame() -> None:
    frame = np.full((4, 4, 3), (200, 100, 50), np.uint8)
    grey, _ = change_frame(frame, np.zeros(4), FrameChange(grey=True, flip=False))
    assert (grey == 124).all()  # .299 * 200 + .587 * 100 + .114 * 50 = 124.2


def test_crop_becomes_tensors() -> None:
    pixels = np.full((4, 4, 3), (51, 102, 255), np.uint8)
    mask = np.zeros((4, 4), bool)
    mask[:, 0] = True
    pixels[:, 0] = 0
    box = np.array([0.1, 0.2, 0.3, 0.4])
    image, out_mask, out_box = change_crop(CropImage(pixels, mask), box, CropChange(1.2, False))
    assert image.shape == (3, 4, 4) and image.dtype == torch.float32
    # 51 / 255 * 1.2 = .24, 102 / 255 * 1.2 = .48, 1.2 is clamped to 1
    expected = torch.tensor([0.24, 0.48, 1.0])
    assert torch.allclose(image[:, 0, 3], expected, atol=1e-6)
    assert (image[:, :, 0] == 0).all()
    assert torch.equal(out_mask, torch.from_numpy(mask)) and out_mask.dtype == torch.bool
    assert out_box.tolist() == box.tolist()


def test_flip_of_a_crop() -> None:
    pixels = _frame(7, 4, 4)
    mask = np.zeros((4, 4), bool)
    mask[:, 0] = True
    box = np.array([0.1, 0.2, 0.3, 0.4])
    image, out_mask, out_box = change_crop(CropImage(pixels, mask), box, CropChange(1.0, True))
    assert out_box == pytest.approx([0.6, 0.2, 0.3, 0.4])  # 1 - .1 - .3
    assert out_mask[:, 3].all() and not out_mask[:, :3].any()
    expected = torch.from_numpy(pixels[:, ::-1].transpose(2, 0, 1).copy()) / 255
    assert torch.allclose(image, expected, atol=1e-6)
