"""Masks and boxes into each other, as pure functions.

A mask is (H, W), any dtype, non-zero on the target; column i covers x in [i, i + 1).
"""

from collections.abc import Sequence

import numpy as np


class EmptyMaskError(ValueError):
    """A mask without a pixel of the target."""


def tight_box(mask: np.ndarray) -> np.ndarray:
    """Return the smallest box_xywh around a mask, (4,) float64: w = last - first column + 1.

    Raises:
        ValueError: not two-dimensional. EmptyMaskError: nothing in it.
    """
    return _xywh(_extent(mask))


def fitting_box(mask: np.ndarray) -> np.ndarray:
    """Return a box whose IoU with the mask is locally the best, starting from the tight one.

    A thin limb that widens the tight box by much and the mask by little is left out. The sides are
    moved in turn, each to its best place while the others stand, until none moves.

    Args, returns, raises: as `tight_box`.
    """
    sides = _extent(mask)
    counts = (np.asarray(mask) != 0).astype(np.int64)
    sums = np.pad(counts.cumsum(0).cumsum(1), ((1, 0), (1, 0)))  # (H+1, W+1)
    while True:
        before = list(sides)
        for side in range(4):
            _move_side(sides, side, sums)
        if sides == before:
            return _xywh(sides)


def filled_box(box_xywh: Sequence[float] | np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the mask of a box: the pixels whose centres lie inside it.

    Args:
        box_xywh: (4,) image pixels, possibly beyond the image.
        size: width, height of the image in pixels.

    Returns:
        mask: (height, width) uint8, 1 in the box; never empty: a box that holds no pixel's centre
            marks the pixel nearest to its own.
    """
    x, y, w, h = np.asarray(box_xywh, np.float64)
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[_covered(y, h, size[1]), _covered(x, w, size[0])] = 1
    return mask


def placed_mask(mask: np.ndarray, offset: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Return a part of a mask as the mask of the whole image, (height, width) uint8, 0 or 1.

    Args:
        mask: (h, w), non-zero on the target.
        offset: column and row of the image where it starts; what lies outside the image is cut.
        size: width, height of the image in pixels.
    """
    whole = np.zeros((size[1], size[0]), np.uint8)
    rows, columns = np.nonzero(mask)
    rows, columns = rows + offset[1], columns + offset[0]
    inside = (rows >= 0) & (rows < size[1]) & (columns >= 0) & (columns < size[0])
    whole[rows[inside], columns[inside]] = 1
    return whole


BOX_OF_MASK = {"tight": tight_box, "fit": fitting_box}


def _xywh(sides: list[int]) -> np.ndarray:
    left, top, right, bottom = sides
    return np.array([left, top, right - left, bottom - top], np.float64)


def _extent(mask: np.ndarray) -> list[int]:
    """Left, top, right, bottom: first column and row of a mask, and the ones after the last."""
    solid = np.asarray(mask) != 0
    if solid.ndim != 2:
        raise ValueError(f"a mask has shape (height, width); this one has {solid.shape}")
    columns, rows = np.flatnonzero(solid.any(0)), np.flatnonzero(solid.any(1))
    if not len(columns):
        raise EmptyMaskError(f"the mask, {solid.shape[1]} x {solid.shape[0]}, is empty")
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def _move_side(sides: list[int], side: int, sums: np.ndarray) -> None:
    """Put one side where the IoU is best, with the other three as they are.

    Args:
        sides: left, top, right, bottom; changed in place.
        side: index of the one to move.
        sums: (H+1, W+1) counts of the mask's pixels above and left of each corner.
    """
    opposite = sides[(side + 2) % 4]
    last = sums.shape[1 - side % 2] - 1  # width for left and right, height for top and bottom
    places = np.arange(opposite) if side < 2 else np.arange(opposite + 1, last + 1)
    corners = [np.full(len(places), value) for value in sides]
    corners[side] = places
    left, top, right, bottom = corners
    inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    iou = inside / (sums[-1, -1] + (right - left) * (bottom - top) - inside)
    best = int(np.argmax(iou))
    if iou[best] > iou[places == sides[side]][0]:
        sides[side] = int(places[best])


def _covered(start: float, length: float, limit: int) -> slice:
    """Indices below `limit` whose centres lie in [start, start + length); one at least."""
    first, last = np.clip(np.ceil([start - 0.5, start + length - 0.5]), 0, limit).astype(int)
    if first < last:
        return slice(int(first), int(last))
    nearest = int(np.clip(np.floor(start + length / 2), 0, limit - 1))
    return slice(nearest, nearest + 1)
