"""Guards VOT's regions: masks to boxes and back."""

import numpy as np
import pytest

from lib.test.vot.regions import EmptyMaskError, filled_box, fitting_box, placed_mask, tight_box


def mask_of(*areas: tuple[int, int, int, int], size: tuple[int, int] = (20, 16)) -> np.ndarray:
    """Mask (H, W) with the given x, y, w, h filled."""
    mask = np.zeros((size[1], size[0]), np.uint8)
    for x, y, w, h in areas:
        mask[y : y + h, x : x + w] = 1
    return mask


def iou(box: np.ndarray, mask: np.ndarray) -> float:
    """IoU of a whole-numbered box with a mask."""
    filled = mask_of(tuple(int(v) for v in box), size=mask.shape[::-1])
    return (filled & mask).sum() / (filled | mask).sum()


@pytest.mark.parametrize(
    "area", [(0, 0, 20, 16), (3, 4, 5, 6), (19, 15, 1, 1)], ids=["all", "inside", "last pixel"]
)
def test_a_filled_box_has_that_box(area: tuple) -> None:
    mask = mask_of(area)
    assert tight_box(mask).tolist() == fitting_box(mask).tolist() == list(area)
    assert (filled_box(np.array(area), (20, 16)) == mask).all()


def test_the_fitting_box_leaves_out_a_limb() -> None:
    mask = mask_of((2, 5, 8, 8), (10, 8, 9, 1))  # a body of 64 and a limb of 9 pixels
    assert tight_box(mask).tolist() == [2, 5, 17, 8]  # IoU 73 / 136
    assert fitting_box(mask).tolist() == [2, 5, 8, 8]  # IoU 64 / 73


def test_the_fitting_box_is_the_best_of_all_for_a_blob_and_never_worse_than_the_tight_one() -> None:
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:16, :20]
    blob = ((columns - 8) / 6) ** 2 + ((rows - 7) / 4) ** 2 < 1
    best = max(
        iou(np.array([x1, y1, x2 - x1, y2 - y1]), blob.astype(np.uint8))
        for x1 in range(20) for x2 in range(x1 + 1, 21)
        for y1 in range(16) for y2 in range(y1 + 1, 17)
    )  # fmt: skip
    assert iou(fitting_box(blob), blob.astype(np.uint8)) == best
    for _ in range(20):
        mask = (generator.random((16, 20)) < 0.2).astype(np.uint8)
        assert iou(fitting_box(mask), mask) >= iou(tight_box(mask), mask)


FILLED = {
    "half a pixel in": ((2.5, 3.5, 3, 2), (2, 3, 3, 2)),  # centres 2.5..4.5 and 3.5..4.5
    "beyond the image": ((-5, 10, 8, 100), (0, 10, 3, 6)),
    "between two centres": ((4.6, 4.6, 0.3, 0.3), (4, 4, 1, 1)),
    "outside": ((30, -9, 4, 4), (19, 0, 1, 1)),
}


@pytest.mark.parametrize(("box", "area"), FILLED.values(), ids=FILLED)
def test_filled_boxes(box: tuple, area: tuple) -> None:
    assert (filled_box(np.array(box), (20, 16)) == mask_of(area)).all()


PLACED = {
    "inside": ((3, 2), (3, 2, 4, 3)),
    "cut left and above": ((-1, -2), (0, 0, 3, 1)),
    "cut right and below": ((18, 14), (18, 14, 2, 2)),
    "outside": ((30, 40), (0, 0, 0, 0)),
    "outside on the left": ((-9, 0), (0, 0, 0, 0)),
}


@pytest.mark.parametrize(("offset", "area"), PLACED.values(), ids=PLACED)
def test_placed_masks(offset: tuple, area: tuple) -> None:
    part = np.full((3, 4), 255, np.uint8)
    assert (placed_mask(part, offset, (20, 16)) == mask_of(area)).all()


@pytest.mark.parametrize("make", [tight_box, fitting_box])
def test_refusals(make) -> None:
    with pytest.raises(EmptyMaskError, match="the mask, 20 x 16, is empty"):
        make(mask_of())
    with pytest.raises(ValueError, match=r"shape \(height, width\); this one has \(1, 16, 20\)"):
        make(mask_of()[None])
