"""What people look at: a video with boxes, and a sheet of frames on one page.

Frames are (H, W, 3) uint8 RGB everywhere; the colour order turns only at the writer.
"""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from lib.utils.files import atomic_path, atomic_write


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float = 25) -> int:
    """Write an MP4; it appears when it is whole.

    Args:
        frames: all of one size.

    Returns:
        The number of frames.

    Raises:
        OSError: this OpenCV cannot write MP4. ValueError: no frame, or one of another size.
    """
    count, writer, size = 0, None, None
    with atomic_path(path) as temporary:
        whole = temporary.with_suffix(".mp4")  # OpenCV chooses the container by the name
        try:
            for frame in frames:
                if writer is None:
                    size = frame.shape
                    code = cv2.VideoWriter.fourcc(*"mp4v")
                    writer = cv2.VideoWriter(str(whole), code, fps, (size[1], size[0]))
                    if not writer.isOpened():
                        raise OSError(f"{path}: OpenCV {cv2.__version__} cannot write MP4 here")
                if frame.shape != size:
                    raise ValueError(f"{path}: frame {count} is {frame.shape}, the first is {size}")
                writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
                count += 1
            if writer is None:
                raise ValueError(f"{path}: a video needs a frame")
            writer.release()
            whole.replace(temporary)
        finally:
            whole.unlink(missing_ok=True)
    return count


def write_contact_sheet(path: Path, rows: list[list[np.ndarray]], width: int = 240) -> None:
    """Write frames as a PNG, one list a row, each scaled to `width` pixels."""
    tiles = [[_resize(frame, width) for frame in row] for row in rows]
    height = max(tile.shape[0] for row in tiles for tile in row) + 4
    columns = max(len(row) for row in tiles)
    sheet = np.full((height * len(tiles), (width + 4) * columns, 3), 255, np.uint8)
    for i, row in enumerate(tiles):
        for j, tile in enumerate(row):
            y, x = i * height, j * (width + 4)
            sheet[y : y + tile.shape[0], x : x + width] = tile
    encoded = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1]
    atomic_write(path, lambda file: file.write(encoded.tobytes()))


def _resize(frame: np.ndarray, width: int) -> np.ndarray:
    """Scale a frame to a width."""
    height = round(frame.shape[0] * width / frame.shape[1])
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
