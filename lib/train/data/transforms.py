"""Random changes of appearance: alike for a sample's frames, and for each crop by itself.

Source: spec section 4. What is drawn and how it is applied are two functions, so that each can be
checked alone. The network normalises by mean and standard deviation itself.
"""

from typing import NamedTuple

import cv2
import numpy as np

from lib.utils.crop import Crop, CropImage

GREY = 0.05  # chance
FLIP = 0.5  # chance, of the frames and again of each crop
BRIGHTNESS = 0.2  # factor in 1 - BRIGHTNESS .. 1 + BRIGHTNESS


class FrameChange(NamedTuple):
    """What happens to all frames of a sample."""

    grey: bool
    flip: bool


class CropChange(NamedTuple):
    """What happens to one crop."""

    brightness: float  # factor
    flip: bool


class ChangedCrop(NamedTuple):
    """One crop as it is sent to where the network is; see CompactSample."""

    image: np.ndarray  # (S, S, 3) uint8 RGB
    scale: np.float32  # brightness / 255
    mask: np.ndarray  # (S, S) bool, True on padding
    box_xywh: np.ndarray  # (4,) float64, fractions of the crop


def draw_frame_change(generator: np.random.Generator) -> FrameChange:
    """Draw what happens to the frames: once a sample."""
    return FrameChange(bool(generator.random() < GREY), bool(generator.random() < FLIP))


def draw_crop_change(generator: np.random.Generator, flip: float = FLIP) -> CropChange:
    """Draw what happens to a crop, once a crop. flip: chance that it is mirrored by itself."""
    brightness = generator.uniform(1 - BRIGHTNESS, 1 + BRIGHTNESS)
    return CropChange(float(brightness), bool(generator.random() < flip))


def change_box(box_xywh_image: np.ndarray, width: int, change: FrameChange) -> np.ndarray:
    """Box (4,) in pixels of a changed frame of `width` pixels."""
    if not change.flip:
        return box_xywh_image
    x, y, w, h = box_xywh_image
    # Kept: corners go from x to width - 1 - x as pixels do, though edges would go to width - x.
    return np.array([width - 1 - x - w, y, w, h])


def cut_changed(window: Crop, frame: np.ndarray, change: FrameChange) -> CropImage:
    """Cut a window out of a changed frame, given as (H, W, 3) uint8 RGB before the change."""
    return window.cut(frame, mirrored=change.flip, recolour=_to_grey if change.grey else None)


def _to_grey(pixels: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 RGB -> the same without colour."""
    return cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def change_crop(cropped: CropImage, box_xywh: np.ndarray, change: CropChange) -> ChangedCrop:
    """Change a crop; `box_xywh` is in fractions of it. Brightness is left to the unpacking."""
    pixels, mask = cropped
    if change.flip:
        x, y, w, h = box_xywh
        box_xywh = np.array([1 - x - w, y, w, h])
        pixels, mask = cv2.flip(pixels, 1), mask[:, ::-1]
    return ChangedCrop(pixels, np.float32(change.brightness / 255), mask, box_xywh)
