"""What people look at: a video with boxes, and a sheet of frames on one page.

Frames are (H, W, 3) uint8 RGB everywhere; the colour order turns only at the writer.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from lib.io.video.draw import BLACK, Colour, add_legend
from lib.io.video.writer import VideoWriter
from lib.utils.files import atomic_write
from lib.utils.image import encode_rgb

GAP, TILE_WIDTH = 4, 320  # pixels between frames, of a frame
LETTERS = 0.5  # size of a sheet's letters, as OpenCV has it


def write_video(path: Path, frames: Iterable[np.ndarray], rate: float = 25) -> None:
    """Write an MP4 of frames of one size; nothing appears if one fails. Raises as `VideoWriter`,
    and ValueError if there is no frame."""
    writer = VideoWriter(path, rate)
    try:
        for frame in frames:
            writer.write(frame)
        if not writer.count:
            raise ValueError(f"{path}: a video needs a frame")
        writer.close()
    finally:
        writer.discard()  # does nothing to what is whole


class Row(NamedTuple):
    """Of a contact sheet."""

    title: str
    frames: list[np.ndarray]


def write_contact_sheet(
    path: Path, rows: list[Row], legend: Sequence[tuple[str, Colour]], width: int = TILE_WIDTH
) -> None:
    """Write frames as a PNG, each scaled to `width` pixels: a legend, then title and frames."""
    total = max(len(row.frames) for row in rows) * (width + GAP)
    parts = [add_legend(np.zeros((GAP, total, 3), np.uint8), legend, LETTERS)]
    for title, frames in rows:
        parts.append(add_legend(np.zeros((GAP, total, 3), np.uint8), [(title, BLACK)], LETTERS))
        tiles = [_resize(frame, width) for frame in frames]
        strip = np.zeros((max(map(len, tiles)), total, 3), np.uint8)
        for column, tile in enumerate(tiles):
            left = column * (width + GAP)
            strip[: len(tile), left : left + width] = tile
        parts.append(strip)
    write_picture(path, np.concatenate(parts))


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 RGB image as a PNG, in one step."""
    atomic_write(path, lambda file: file.write(encode_rgb(image, ".png")))


def _resize(frame: np.ndarray, width: int) -> np.ndarray:
    height = round(frame.shape[0] * width / frame.shape[1])
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
