"""Random transforms: alike for a sample's frames, and for each crop by itself.

Source: docs/method.md, section 4. The network normalises by mean and standard deviation itself.
"""

from typing import NamedTuple

import cv2
import numpy as np

from lib.utils.crop import Crop, CropImage

GREY = 0.05  # chance
FLIP = 0.5  # chance, of the frames and again of each crop
BRIGHTNESS = 0.2  # factor in 1 - BRIGHTNESS .. 1 + BRIGHTNESS


class FrameTransform(NamedTuple):
    """What happens to all frames of a sample."""

    grey: bool
    flip: bool


class CropTransform(NamedTuple):
    """What happens to one crop."""

    brightness: float  # factor
    flip: bool


class TransformedCrop(NamedTuple):
    """One crop as it is sent to where the network is; see CompactSample."""

    image: np.ndarray  # (S, S, 3) uint8 RGB
    scale: np.float32  # brightness / 255
    mask: np.ndarray  # (S, S) bool, True on padding
    box_xywh: np.ndarray  # (4,) float64, fractions of the crop


def draw_frame_transform(generator: np.random.Generator) -> FrameTransform:
    """Draw what happens to the frames: once per sample."""
    return FrameTransform(bool(generator.random() < GREY), bool(generator.random() < FLIP))


def draw_crop_transform(generator: np.random.Generator, flip: float = FLIP) -> CropTransform:
    """Draw what happens to a crop. flip: chance that it is mirrored by itself."""
    brightness = float(generator.uniform(1 - BRIGHTNESS, 1 + BRIGHTNESS))
    return CropTransform(brightness, bool(generator.random() < flip))


def transform_box(box_xywh_image: np.ndarray, width: int, transform: FrameTransform) -> np.ndarray:
    """Box (4,) in pixels of a transformed frame of `width` pixels."""
    if not transform.flip:
        return box_xywh_image
    x, y, w, h = box_xywh_image
    # Kept: corners go from x to width - 1 - x as pixels do, though edges would go to width - x.
    return np.array([width - 1 - x - w, y, w, h])


def cut_transformed(window: Crop, frame: np.ndarray, transform: FrameTransform) -> CropImage:
    """Cut a window out of a transformed frame, given as (H, W, 3) uint8 RGB before that."""
    return window.cut(frame, mirrored=transform.flip, recolour=_to_grey if transform.grey else None)


def _to_grey(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def transform_crop(
    cropped: CropImage, box_xywh_crop: np.ndarray, transform: CropTransform
) -> TransformedCrop:
    """Transform a crop and its box, fractions of it. Brightness is left to the unpacking."""
    pixels, mask = cropped
    if transform.flip:
        x, y, w, h = box_xywh_crop
        box_xywh_crop = np.array([1 - x - w, y, w, h])
        pixels, mask = cv2.flip(pixels, 1), mask[:, ::-1]
    scale = np.float32(transform.brightness / 255)
    return TransformedCrop(pixels, scale, mask, box_xywh_crop)
