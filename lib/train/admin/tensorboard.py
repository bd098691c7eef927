"""Curves and drawn batches for TensorBoard, written by the main process alone."""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from lib.train.admin import distributed
from lib.train.data.batch import Sample
from lib.utils.box_ops import xywh_to_xyxy

TRUE_COLOUR = (60, 220, 60)  # RGB
PREDICTED_COLOUR = (240, 60, 60)
PADDING_COLOUR = (40, 40, 90)
SHOWN = 6  # samples of a batch


class TensorboardWriter:
    """A SummaryWriter on the main process, nothing on the others."""

    def __init__(self, folder: Path) -> None:
        """Open `folder`, made if missing."""
        self._writer = None
        if distributed.is_main():
            from torch.utils.tensorboard import SummaryWriter  # slow to import

            self._writer = SummaryWriter(str(folder))

    def scalars(self, prefix: str, values: dict[str, float], step: int) -> None:
        """Write numbers under `prefix/name`."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{prefix}/{name}", value, step)

    def batch(self, name: str, batch: Sample, box_xyxy: Tensor, step: int) -> None:
        """Draw a batch with its true and (B, 4) predicted boxes."""
        if self._writer is not None:
            image = draw_batch(batch, box_xyxy)
            self._writer.add_image(name, image, step, dataformats="HWC")

    def close(self) -> None:
        """Flush and close."""
        if self._writer is not None:
            self._writer.close()


def draw_batch(batch: Sample, box_xyxy: Tensor) -> np.ndarray:
    """Draw up to SHOWN samples, one a row: references, then search frame.

    True boxes are green, predicted ones red, padding is blue.

    Args:
        box_xyxy: (B, 4) predicted boxes in fractions of the search crop.

    Returns:
        (rows * S, (R + 1) * S, 3) uint8 RGB.
    """
    rows = []
    for i in range(min(SHOWN, len(batch.search))):
        cells = [
            _draw(image, mask, [(xywh_to_xyxy(box), TRUE_COLOUR)])
            for image, mask, box in zip(
                batch.references[i],
                batch.reference_masks[i],
                batch.reference_boxes[i],
                strict=True,
            )
        ]
        boxes = [(xywh_to_xyxy(batch.search_box[i]), TRUE_COLOUR), (box_xyxy[i], PREDICTED_COLOUR)]
        cells.append(_draw(batch.search[i], batch.search_mask[i], boxes))
        rows.append(np.concatenate(cells, 1))
    return np.concatenate(rows, 0)


def _draw(
    image: Tensor, mask: Tensor, boxes: list[tuple[Tensor, tuple[int, int, int]]]
) -> np.ndarray:
    """Draw xyxy boxes, fractions of the crop, on a (3, S, S) image in [0, 1] -> (S, S, 3) uint8."""
    pixels = (image.detach().float().clamp(0, 1) * 255).byte().permute(1, 2, 0).cpu().numpy()
    pixels = np.ascontiguousarray(pixels)
    pixels[mask.cpu().numpy()] = PADDING_COLOUR
    size = pixels.shape[0]
    for box_xyxy, colour in boxes:
        corners = torch.nan_to_num(box_xyxy.detach().float()).clamp(-1, 2) * size
        x1, y1, x2, y2 = (round(v) for v in corners.tolist())
        cv2.rectangle(pixels, (x1, y1), (x2, y2), colour, max(1, size // 128))
    return pixels
