"""Guards the search window: golden crops, mapping, kept quirks, bad boxes."""

import cv2
import numpy as np
import pytest
from seeded import seeded_frame

from lib.utils.crop import Crop


@pytest.mark.parametrize("index", range(7))
def test_matches_the_reference(golden: dict, index: int) -> None:
    expected = {
        key.split("/")[1]: v for key, v in golden.items() if key.startswith(f"crop{index}/")
    }
    crop = Crop.around(expected["box"], 5, 320)
    image, mask = crop.cut(seeded_frame(3))
    assert crop.resize_factor == expected["resize_factor"]
    # The fixture was made with OpenCV 5; other versions round resized pixels differently by one.
    np.testing.assert_allclose(image[::4, ::4], expected["image_u8"].astype(int), atol=1)
    np.testing.assert_allclose(image.reshape(-1, 3).sum(0), expected["image_sum"], rtol=1e-4)
    np.testing.assert_array_equal(np.packbits(mask), expected["mask_packed"])
    np.testing.assert_allclose(
        crop.to_crop(expected["target"]), expected["target_in_crop"], atol=1e-6
    )


def test_half_pixel_between_the_ways_is_kept() -> None:
    """In at (S - 1) / 2, out at S / 2: a round trip moves a box by half a crop pixel."""
    crop = Crop.around([60, 90, 40, 32], 5, 320)
    back = crop.to_image(crop.to_crop(np.array([70.0, 80, 30, 20])))
    shift = 0.5 / crop.resize_factor
    np.testing.assert_allclose(back, [70 - shift, 80 - shift, 30, 20], atol=1e-9)


def test_last_column_is_dropped_when_the_window_touches_it() -> None:
    image = np.full((40, 40, 3), 200, np.uint8)
    touching = Crop(0, 0, 40, 40, (20.0, 20.0)).cut(image)
    assert not touching.image[:, -1].any() and not touching.image[-1].any()
    assert touching.mask[:, -1].all() and touching.mask[-1].all()
    assert (touching.image[:-1, :-1] == 200).all() and not touching.mask[:-1, :-1].any()
    inside = Crop(0, 0, 39, 39, (19.5, 19.5)).cut(image)
    assert (inside.image == 200).all() and not inside.mask.any()


def test_window_outside_the_image_is_all_padding() -> None:
    image = np.full((40, 40, 3), 200, np.uint8)
    for box in ([100, 10, 4, 4], [10, -90, 4, 4], [-60, -60, 4, 4]):
        crop = Crop.around(box, 5, 32).cut(image)
        assert crop.image.shape == (32, 32, 3) and not crop.image.any() and crop.mask.all()


@pytest.mark.parametrize("seed", range(20))
def test_mask_is_the_resized_two_dimensional_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    (x, y), side = rng.integers(-60, 60, 2).tolist(), int(rng.integers(20, 160))
    crop = Crop(x, y, side, 48, (0.0, 0.0))
    rows, columns = np.mgrid[y : y + side, x : x + side]
    # The image is 80 x 64; its last row and column are dropped where touched.
    height = 63 if y + side >= 64 else 64
    width = 79 if x + side >= 80 else 80
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    expected = cv2.resize((~inside).astype(np.float64), (48, 48)).astype(bool)
    np.testing.assert_array_equal(crop.cut(np.zeros((64, 80, 3), np.uint8)).mask, expected)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([10, 10, 0, 5], "too small"),
        *(([30, 40, side, side], "cannot be meant") for side in (1e6, 1e20, 1e200, 1e308)),
        ([1e308, 0, 1e308, 1e-300], "cannot be meant"),
        ([1e300, 0, 5, 5], "cannot be meant"),
        ([10, 10, np.nan, 5], "4 finite numbers"),
        ([10, 10, -4, 5], "w, h >= 0"),
        ([10, 10, 4], "4 finite numbers"),
    ],
)
def test_bad_boxes_are_named(box: list, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Crop.around(box, 5, 320)
    assert str([float(v) for v in box]) in str(caught.value)


def test_rounding_is_half_to_even() -> None:
    assert Crop.around([0, 0, 1, 1], 2, 10).x1 == 0  # 0.5 - 1 = -0.5 -> 0
    assert Crop.around([1, 0, 1, 1], 2, 10).x1 == 0  # 0.5 -> 0
    assert Crop.around([2, 0, 1, 1], 2, 10).x1 == 2  # 1.5 -> 2
