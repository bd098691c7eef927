"""Curves and drawn batches for TensorBoard, written by the main process alone."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.io.video.draw import Colour, draw_box
from lib.train.admin import distributed
from lib.train.data.batch import Batch
from lib.utils.box_ops import xyxy_to_xywh

TRUE_COLOUR: Colour = (60, 220, 60)
PREDICTED_COLOUR: Colour = (240, 60, 60)
PADDING_COLOUR: Colour = (40, 40, 90)
MAX_SAMPLES = 6  # drawn of a batch


class TensorboardWriter:
    """A SummaryWriter on the main process, nothing on the others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @functools.cached_property
    def _writer(self) -> Any:
        """Made for the first number, so that a run with nothing to do leaves no file."""
        if not distributed.is_main():
            return None
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        return SummaryWriter(str(self._folder))

    def scalars(self, prefix: str, values: dict[str, float], step: int) -> None:
        """Write numbers under `prefix/name`."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{prefix}/{name}", value, step)

    def batch(self, name: str, batch: Batch, box_xyxy: Tensor, step: int) -> None:
        """Draw a batch with its true and (B, 4) predicted boxes."""
        if self._writer is not None:
            self._writer.add_image(name, draw_batch(batch, box_xyxy), step, dataformats="HWC")

    def close(self) -> None:
        if "_writer" in vars(self) and self._writer is not None:
            self._writer.close()


def draw_batch(batch: Batch, box_xyxy: Tensor) -> np.ndarray:
    """Draw up to MAX_SAMPLES samples, one per row: references, then search frame.

    Args:
        box_xyxy: (B, 4) predicted boxes in fractions of the search crop.

    Returns:
        (rows * S, (R + 1) * S, 3) uint8 RGB.
    """
    predicted_xywh = xyxy_to_xywh(torch.nan_to_num(box_xyxy.detach().float()).clamp(-1, 2))
    rows = []
    for i in range(min(MAX_SAMPLES, len(batch.search))):
        images = [*batch.references[i], batch.search[i]]
        masks = [*batch.reference_masks[i], batch.search_mask[i]]
        true_boxes = [*batch.reference_boxes[i], batch.search_box[i]]
        cells = [_to_pixels(image, mask) for image, mask in zip(images, masks, strict=True)]
        cells = [_draw(c, box, TRUE_COLOUR) for c, box in zip(cells, true_boxes, strict=True)]
        cells[-1] = _draw(cells[-1], predicted_xywh[i], PREDICTED_COLOUR)
        rows.append(np.concatenate(cells, 1))
    return np.concatenate(rows, 0)


def _to_pixels(image: Tensor, mask: Tensor) -> np.ndarray:
    """(3, S, S) in [0, 1] -> (S, S, 3) uint8 with coloured padding."""
    pixels = (image.detach().float().clamp(0, 1) * 255).byte().permute(1, 2, 0).cpu().numpy()
    pixels = np.ascontiguousarray(pixels)
    pixels[mask.cpu().numpy()] = PADDING_COLOUR
    return pixels


def _draw(pixels: np.ndarray, box_xywh_crop: Tensor, colour: Colour) -> np.ndarray:
    box_xywh = (box_xywh_crop.float() * len(pixels)).tolist()
    return draw_box(pixels, box_xywh, colour=colour)
