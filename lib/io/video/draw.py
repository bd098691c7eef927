"""Draw boxes on frames: the one place for all pictures of tracking.

Lines and letters grow with the image, so that they can be read at 320 and at 1920 pixels.
"""

import itertools
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

Colour = tuple[int, int, int]  # RGB
Point = tuple[int, int]  # x, y in pixels

GREEN: Colour = (64, 255, 64)
BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_box(
    image: np.ndarray,
    box_xywh: list[float],
    label: str = "",
    colour: Colour = GREEN,
    *,
    dashed: bool = False,
) -> np.ndarray:
    """Draw a box, in pixels, and a label on a copy of an (H, W, 3) uint8 RGB image."""
    drawn = image.copy()
    width = line_width(image)
    # What lies far outside is not seen, and its numbers may be too large to draw.
    limits = np.array([image.shape[1], image.shape[0]] * 2) + 4 * width
    x, y, w, h = box_xywh
    x1, y1, x2, y2 = np.clip([x, y, x + w, y + h], -4 * width, limits).round().astype(int).tolist()
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)]
    for begin, end in _dashes(corners, 5 * width) if dashed else itertools.pairwise(corners):
        cv2.line(drawn, begin, end, colour, width)
    if label:
        write_label(drawn, label, (x1, y1), colour)
    return drawn


def line_width(image: np.ndarray) -> int:
    """Pixels of a line on an (H, W, 3) image."""
    return max(1, round(max(image.shape[:2]) / 400))


def write_label(image: np.ndarray, text: str, at: Point, colour: Colour) -> None:
    """Write text on a plate of a colour, in place: above `at`, or where it fits into the image."""
    height, width = image.shape[:2]
    plate = _plate(text, colour, _letter_size(image))[:height, :width]
    x = max(0, min(at[0], width - plate.shape[1]))
    above = at[1] - len(plate)
    y = max(0, min(above if above >= 0 else at[1], height - len(plate)))
    image[y : y + len(plate), x : x + plate.shape[1]] = plate


def add_legend(
    image: np.ndarray, entries: Sequence[tuple[str, Colour]], size: float | None = None
) -> np.ndarray:
    """Put plates of texts and colours below an (H, W, 3) image: (H + ..., W, 3).

    Args:
        size: of the letters, as OpenCV has it; None: by the image's size.
    """
    width, size = image.shape[1], size or _letter_size(image)
    plates = [_plate(text, colour, size)[:, :width] for text, colour in entries]
    rows, x = [np.zeros((len(plates[0]), width, 3), np.uint8)], 0
    for plate in plates:
        if x + plate.shape[1] > width:
            rows, x = [*rows, np.zeros_like(rows[0])], 0
        rows[-1][:, x : x + plate.shape[1]] = plate
        x += plate.shape[1]
    return np.concatenate([image, *rows])


def _letter_size(image: np.ndarray) -> float:
    """Of OpenCV's letters on an (H, W, 3) image; 1 is about 30 pixels high."""
    return max(0.4, max(image.shape[:2]) / 1800)


def _plate(text: str, colour: Colour, size: float) -> np.ndarray:
    """Text on a plate of a colour, black or white, whichever can be read: (h, w, 3) uint8."""
    weight = max(1, round(size * 1.5))
    text_width = cv2.getTextSize(text, FONT, size, weight)[0][0]
    (_, text_height), below = cv2.getTextSize("Ag|_", FONT, size, weight)  # all of one height
    margin = max(2, round(4 * size))
    height, length = (side + 2 * margin + 1 for side in (text_height + below, text_width))
    plate = np.full((height, length, 3), colour, np.uint8)
    shade = BLACK if np.dot(colour, (0.299, 0.587, 0.114)) > 110 else WHITE
    base = margin, margin + text_height
    cv2.putText(plate, text, base, FONT, size, shade, weight, cv2.LINE_AA)
    return plate


def write_text(image: np.ndarray, text: str, at: Point, size: float, colour: Colour) -> None:
    """Write text, outlined in black, on an image in place; `at` is its lower left corner."""
    width = max(1, round(size * 1.5))
    # Shifted copies, as OpenCV 5 spaces letters by their weight: a bolder copy would not fit.
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)):
        shade = colour if dx == dy == 0 else BLACK
        cv2.putText(image, text, (at[0] + dx, at[1] + dy), FONT, size, shade, width, cv2.LINE_AA)


def _dashes(corners: list[Point], length: int) -> Iterator[tuple[Point, Point]]:
    """Lines of a length, with gaps as long, from each corner to the next."""
    for begin, end in itertools.pairwise(corners):
        count = max(1, round(np.hypot(end[0] - begin[0], end[1] - begin[1]) / length)) | 1
        points = np.linspace(begin, end, count + 1).round().astype(int).tolist()
        yield from zip(points[::2], points[1::2], strict=True)
