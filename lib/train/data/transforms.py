"""Random changes of appearance: alike for a sample's frames, and for each crop by itself.

Source: spec section 4. What is drawn and how it is applied are two functions, so that each can be
checked alone. The network normalises by mean and standard deviation itself.
"""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from lib.utils.crop import CropImage

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


class CropTensors(NamedTuple):
    """One crop as the network takes it."""

    image: Tensor  # (3, S, S) float32 RGB in [0, 1]
    mask: Tensor  # (S, S) bool, True on padding
    box_xywh: np.ndarray  # (4,) float64, fractions of the crop


def draw_frame_change(generator: np.random.Generator) -> FrameChange:
    """Draw what happens to the frames: once a sample."""
    return FrameChange(bool(generator.random() < GREY), bool(generator.random() < FLIP))


def draw_crop_change(generator: np.random.Generator) -> CropChange:
    """Draw what happens to a crop: once a crop."""
    brightness = generator.uniform(1 - BRIGHTNESS, 1 + BRIGHTNESS)
    return CropChange(float(brightness), bool(generator.random() < FLIP))


def change_frame(
    frame: np.ndarray, box_xywh_image: np.ndarray, change: FrameChange
) -> tuple[np.ndarray, np.ndarray]:
    """Change a whole frame, (H, W, 3) uint8 RGB, and its box in pixels.

    Both changes cost little beside decoding (0.1 ms for a flip of 1280x720), so they are made on
    the whole frame. A view with negative strides would be slow: OpenCV copies it pixel by pixel.
    """
    if change.grey:
        frame = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if change.flip:
        x, y, w, h = box_xywh_image
        # Kept: corners go from x to width - 1 - x as pixels do, though edges would go to width - x.
        box_xywh_image = np.array([frame.shape[1] - 1 - x - w, y, w, h])
        frame = cv2.flip(frame, 1)
    return frame, box_xywh_image


def change_crop(cropped: CropImage, box_xywh: np.ndarray, change: CropChange) -> CropTensors:
    """Change a crop and make tensors of it; `box_xywh` is in fractions of the crop."""
    pixels, mask = cropped
    if change.flip:
        x, y, w, h = box_xywh
        box_xywh = np.array([1 - x - w, y, w, h])
        pixels, mask = pixels[:, ::-1], mask[:, ::-1]
    image = np.empty((3, *pixels.shape[:2]), np.float32)
    np.multiply(pixels.transpose(2, 0, 1), np.float32(change.brightness / 255), out=image)
    np.minimum(image, 1, out=image)
    return CropTensors(
        torch.from_numpy(image), torch.from_numpy(np.ascontiguousarray(mask)), box_xywh
    )
