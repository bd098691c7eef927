"""Curves and drawn batches for TensorBoard, written by the main process alone."""

import functools
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.io.video.draw import BLACK, WHITE, Colour, add_legend, draw_box
from lib.train.admin import distributed
from lib.train.data.batch import Batch
from lib.utils.box_ops import box_iou, xywh_to_xyxy, xyxy_to_xywh

TRUE_COLOUR: Colour = WHITE
PREDICTED_COLOUR: Colour = (230, 159, 0)  # of Okabe and Ito, as a tracked target's
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

    def batch(
        self, name: str, batch: Batch, box_xyxy: Tensor, score: Tensor | None, step: int
    ) -> None:
        """Draw a batch with what was predicted; see `draw_batch`."""
        if self._writer is not None:
            image = draw_batch(batch, box_xyxy, score)
            self._writer.add_image(name, image, step, dataformats="HWC")

    def text(self, name: str, text: str) -> None:
        """Write a text as it is."""
        if self._writer is not None:
            self._writer.add_text(name, textwrap.indent(text, "    "))  # Markdown's verbatim

    def close(self) -> None:
        if "_writer" in vars(self) and self._writer is not None:
            self._writer.close()


def draw_batch(batch: Batch, box_xyxy: Tensor, score: Tensor | None = None) -> np.ndarray:
    """Draw up to MAX_SAMPLES samples, one per row: references, then search frame, then a legend.

    Args:
        box_xyxy: (B, 4) predicted boxes in fractions of the search crop.
        score: (B,) their predicted IoU in [0, 1], if it is known.

    Returns:
        (rows * (S + legend), (R + 1) * S, 3) uint8 RGB.
    """
    box_xyxy = torch.nan_to_num(box_xyxy.detach().float()).clamp(-1, 2)
    overlap = box_iou(box_xyxy, xywh_to_xyxy(batch.search_box.float()))[0].tolist()  # (B,)
    predicted_xywh = xyxy_to_xywh(box_xyxy)
    rows = []
    for i in range(min(MAX_SAMPLES, len(batch.search))):
        images = [*batch.references[i], batch.search[i]]
        masks = [*batch.reference_masks[i], batch.search_mask[i]]
        true_boxes = [*batch.reference_boxes[i], batch.search_box[i]]
        cells = [_to_pixels(image, mask) for image, mask in zip(images, masks, strict=True)]
        cells = [_draw(c, box, TRUE_COLOUR) for c, box in zip(cells, true_boxes, strict=True)]
        said = "" if score is None else f"{float(score[i]):.2f}"
        cells[-1] = _draw(cells[-1], predicted_xywh[i], PREDICTED_COLOUR, said)
        says = f", says {said}" if said else ""
        legend = [(f"predicted: IoU {overlap[i]:.2f}{says}", PREDICTED_COLOUR)]
        legend = [*legend, ("true box", TRUE_COLOUR), (f"search is last: {batch.source[i]}", BLACK)]
        rows.append(add_legend(np.concatenate(cells, 1), legend))
    height = max(map(len, rows))
    padded = [np.pad(row, ((0, height - len(row)), (0, 0), (0, 0))) for row in rows]
    return np.concatenate(padded, 0)


def _to_pixels(image: Tensor, mask: Tensor) -> np.ndarray:
    """(3, S, S) in [0, 1] -> (S, S, 3) uint8 with coloured padding."""
    pixels = (image.detach().float().clamp(0, 1) * 255).byte().permute(1, 2, 0).cpu().numpy()
    pixels = np.ascontiguousarray(pixels)
    pixels[mask.cpu().numpy()] = PADDING_COLOUR
    return pixels


def _draw(pixels: np.ndarray, box_xywh_crop: Tensor, colour: Colour, label: str = "") -> np.ndarray:
    box_xywh = (box_xywh_crop.float() * len(pixels)).tolist()
    return draw_box(pixels, box_xywh, label, colour)
