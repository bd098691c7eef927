"""The square search window around a box: cuts image and mask, maps boxes both ways.

Source: docs/method.md, section 1. Training and tracking both use it, so its two kept quirks live
here alone: the last image column that is dropped at the border, and the half pixel between the way
in and the way out.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from lib.utils.box_ops import cxcywh_to_xywh, xywh_to_cxcywh

MAX_SIDE = 2**15  # image pixels of a window: the one around all of an 8K frame has 28,800
MAX_CENTRE = 2**31  # image pixels, either way


class CropImage(NamedTuple):
    """What a window shows."""

    image: np.ndarray  # (S, S, 3) uint8, 0 on padding
    mask: np.ndarray  # (S, S) bool, True on padding

    @property
    def is_padded(self) -> bool:
        """Whether the window reaches beyond the image."""
        return bool(self.mask.any())


class Crop(NamedTuple):
    """A window of `side` x `side` image pixels, resized to `size` x `size`."""

    x1: int  # left edge in image pixels, may be negative
    y1: int  # top edge in image pixels, may be negative
    side: int  # side in image pixels
    size: int  # S: side after resizing
    centre: tuple[float, float]  # centre of the box it was laid around, image pixels

    @classmethod
    def around(cls, box_xywh_image: np.ndarray, factor: float, size: int) -> "Crop":
        """Lay the window around a box: side = ceil(sqrt(w h) factor).

        Raises:
            ValueError: the box is not finite, has a negative side, gives an empty window or one
                of more than MAX_SIDE, or lies nowhere near an image.
        """
        box = np.asarray(box_xywh_image, np.float64)
        if box.shape != (4,) or not np.isfinite(box).all() or (box[2:] < 0).any():
            expected = "4 finite numbers x, y, w, h with w, h >= 0"
            raise ValueError(f"a box is {expected}, not {box.tolist()}")
        x, y, w, h = box.tolist()
        exact = math.sqrt(w) * math.sqrt(h) * factor  # cannot overflow
        cx, cy = x + 0.5 * w, y + 0.5 * h
        if exact > MAX_SIDE or max(abs(cx), abs(cy)) > MAX_CENTRE:
            raise ValueError(
                f"box {box.tolist()} cannot be meant: its search window has a side of {exact:.3g} "
                f"pixels, {MAX_SIDE} are the most, around x, y = {cx:.3g}, {cy:.3g}"
            )
        side = math.ceil(math.sqrt(w * h) * factor)
        if side < 1:
            raise ValueError(f"box {box.tolist()} is too small: its search window has no pixel")
        return cls(round(cx - side * 0.5), round(cy - side * 0.5), side, size, (cx, cy))

    @property
    def resize_factor(self) -> float:
        """Crop pixels per image pixel."""
        return self.size / self.side

    def cut(
        self,
        image: np.ndarray,
        *,
        mirrored: bool = False,
        recolour: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> CropImage:
        """Cut the window out of an (H, W, 3) uint8 image; what is outside is 0 and masked.

        The same as changing the whole image first, at the cost of the window alone.

        Args:
            mirrored: the window lies in the image mirrored left to right.
            recolour: changes each pixel by itself, (h, w, 3) uint8 to the same; keeps black.
        """
        # Where the window meets the image.
        height, width = image.shape[:2]
        left, right = self._padding(self.x1, width)
        top, bottom = self._padding(self.y1, height)
        if left + right >= self.side or top + bottom >= self.side:  # wholly outside
            shape = (self.size, self.size)
            return CropImage(
                np.zeros((*shape, *image.shape[2:]), image.dtype), np.ones(shape, bool)
            )
        first, end = self.x1 + left, self.x1 + self.side - right
        if mirrored:
            first, end = width - end, width - first
        # Change only what the window shows.
        window = image[self.y1 + top : self.y1 + self.side - bottom, first:end]
        if recolour is not None:
            window = recolour(window)
        if mirrored:  # OpenCV copies a view with negative strides pixel by pixel
            window = cv2.flip(window, 1)
        if left or right or top or bottom:
            # Zeroed memory costs nothing until it is touched, unlike a border that is written.
            padded = np.zeros((self.side, self.side, *image.shape[2:]), image.dtype)
            padded[top : self.side - bottom, left : self.side - right] = window
            window = padded
        # Resize the window and its mask.
        resized = cv2.resize(window, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        mask = self._padded_cells(top, bottom)[:, None] | self._padded_cells(left, right)[None, :]
        return CropImage(resized, mask)

    def to_crop(self, box_xywh_image: np.ndarray) -> np.ndarray:
        """Map (..., 4) image boxes into the window, as fractions of its size."""
        box = xywh_to_cxcywh(np.asarray(box_xywh_image, np.float64))
        # Kept: the way in puts the window's centre at (S - 1) / 2, the way out at S / 2; weights
        # are trained with the one and tracked with the other.
        middle = (self.size - 1) / 2
        box[..., :2] = middle + (box[..., :2] - self.centre) * self.resize_factor
        box[..., 2:] *= self.resize_factor
        return cxcywh_to_xywh(box) / self.size

    def to_image(self, box_xywh_crop: np.ndarray) -> np.ndarray:
        """Map (..., 4) boxes given as fractions of the window to image pixels."""
        box = xywh_to_cxcywh(np.asarray(box_xywh_crop, np.float64)) * self.side
        box[..., :2] += np.array(self.centre) - self.side / 2
        return cxcywh_to_xywh(box)

    def _padding(self, start: int, extent: int) -> tuple[int, int]:
        """Pixels of padding before and after along one axis.

        Kept: the + 1 drops the last column (row) of the image whenever the window touches it.
        """
        return max(0, -start), max(start + self.side - extent + 1, 0)

    def _padded_cells(self, before: int, after: int) -> np.ndarray:
        """(S,) bool: crop columns (rows) that any padding flows into when the window is resized.

        The same as resizing a 2-D mask and asking for non-zero: a cell is zero only if no padded
        column and no padded row has weight in it.
        """
        if not before and not after:
            return np.zeros(self.size, bool)
        line = np.zeros((1, self.side), np.float64)
        line[0, :before] = 1
        line[0, self.side - after :] = 1
        return cv2.resize(line, (self.size, 1), interpolation=cv2.INTER_LINEAR)[0].astype(bool)
