"""What people look at: a video with boxes, and a sheet of frames on one page.

Frames are (H, W, 3) uint8 RGB everywhere; the colour order turns only at the writer.
"""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from lib.io.video.writer import VideoWriter
from lib.utils.files import atomic_write
from lib.utils.image import encode_rgb


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


def write_contact_sheet(path: Path, rows: list[list[np.ndarray]], width: int = 240) -> None:
    """Write frames as a PNG, one list per row, each scaled to `width` pixels."""
    tiles = [[_resize(frame, width) for frame in row] for row in rows]
    height = max(tile.shape[0] for row in tiles for tile in row) + 4
    columns = max(len(row) for row in tiles)
    sheet = np.full((len(tiles), height, columns, width + 4, 3), 255, np.uint8)
    for i, row in enumerate(tiles):
        for j, tile in enumerate(row):
            sheet[i, : tile.shape[0], j, :width] = tile
    write_picture(path, sheet.reshape(len(tiles) * height, columns * (width + 4), 3))


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 RGB image as a PNG, in one step."""
    atomic_write(path, lambda file: file.write(encode_rgb(image, ".png")))


def _resize(frame: np.ndarray, width: int) -> np.ndarray:
    height = round(frame.shape[0] * width / frame.shape[1])
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
