"""Video files of frames whose number can be read off them."""

from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH = 64, 96


def numbered_frame(number: int) -> np.ndarray:
    """Return an (H, W, 3) uint8 RGB frame: reddish, its number in black and white bars."""
    frame = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    frame[:] = (200, 90, 40)
    for bit in range(8):
        frame[16:48, 12 * bit : 12 * bit + 12] = 255 * (number >> bit & 1)
    return frame


def number_of(frame: np.ndarray) -> int:
    """Read the number off a frame."""
    return sum(int(frame[32, 12 * bit + 6].mean() > 127) << bit for bit in range(8))


def write_numbered(path: Path, count: int, codec: str = "mp4v", rate: float = 25) -> Path:
    """Write a video of numbered frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, (WIDTH, HEIGHT))
    assert writer.isOpened(), codec
    for number in range(count):
        writer.write(cv2.cvtColor(numbered_frame(number), cv2.COLOR_RGB2BGR))
    writer.release()
    return path
