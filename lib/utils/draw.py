"""Draw boxes on frames: the one place for all pictures of tracking."""

import cv2
import numpy as np

Colour = tuple[int, int, int]  # RGB

GREEN: Colour = (64, 255, 64)


def draw_box(
    image: np.ndarray, box_xywh: list[float], label: str = "", colour: Colour = GREEN
) -> np.ndarray:
    """Draw a box and a label, outlined in black, on a copy of an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        box_xywh: pixels of the image.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    drawn = image.copy()
    x, y, w, h = (round(v) for v in box_xywh)
    cv2.rectangle(drawn, (x, y), (x + w, y + h), colour, max(1, round(max(image.shape[:2]) / 400)))
    if label:
        size = max(0.4, image.shape[0] / 900)
        width = max(1, round(size * 1.5))
        at = (max(0, x), max(round(24 * size), y - 4))
        for line, shade in ((width + 1, (0, 0, 0)), (width, colour)):
            cv2.putText(drawn, label, at, cv2.FONT_HERSHEY_SIMPLEX, size, shade, line, cv2.LINE_AA)
    return drawn
