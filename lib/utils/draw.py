"""Draw boxes on frames: the one place for all pictures of tracking."""

import cv2
import numpy as np

Colour = tuple[int, int, int]  # RGB

GREEN: Colour = (64, 255, 64)


def draw_box(
    image: np.ndarray, box_xywh: list[float], label: str = "", colour: Colour = GREEN
) -> np.ndarray:
    """Draw a box, in pixels, and a label on a copy of an (H, W, 3) uint8 RGB image."""
    drawn = image.copy()
    x, y, w, h = (round(v) for v in box_xywh)
    cv2.rectangle(drawn, (x, y), (x + w, y + h), colour, max(1, round(max(image.shape[:2]) / 400)))
    if label:
        size = max(0.4, image.shape[0] / 900)
        write_text(drawn, label, (max(0, x), max(round(24 * size), y - 4)), size, colour)
    return drawn


def write_text(
    image: np.ndarray, text: str, at: tuple[int, int], size: float, colour: Colour
) -> None:
    """Write text, outlined in black, on an image in place; `at` is its lower left corner."""
    font, width = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(size * 1.5))
    # Shifted copies, as OpenCV 5 spaces letters by their weight: a bolder copy would not fit.
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)):
        shade = colour if dx == dy == 0 else (0, 0, 0)
        cv2.putText(image, text, (at[0] + dx, at[1] + dy), font, size, shade, width, cv2.LINE_AA)
