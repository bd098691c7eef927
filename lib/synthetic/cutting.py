"""Cut the object out of a photograph: flood fill from a plain border, GrabCut otherwise.

Most photographs of one object show it in the middle. What comes out is checked (size, one piece,
away from the border, the same from another start) and left out where it is no good: a photograph
without a mask still serves as background (textures.py).
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

PLAIN_TOLERANCE = 14  # grey levels around the border's colour that belong to a plain background
PLAIN_SHARE = 0.92  # of the border that has its colour, at least, to be called plain
MARGINS = (0.05, 0.12)  # of the image's sides: the rectangles from which GrabCut starts
ITERATIONS = 3  # of GrabCut
GRABCUT_SIDE = 128  # pixels of the longer side that GrabCut sees
AREA = (0.04, 0.75)  # an object's pixels over the image's
MAIN_PIECE = 0.85  # of the pixels found that are in the largest connected piece, at least
BORDER_CONTACT = 0.12  # of the image's border that an object covers, at most
SOLIDITY = 0.5  # an object's pixels over its convex hull's, at least
AGREEMENT = 0.8  # IoU of what two starts find, at least
RECTANGLE = 0.97  # of its box that a mask fills from here on: a framed picture, not an object
EDGE_CONTRAST = 1.6  # gradient along the outline over the image's mean, at least
SMALLEST = 24  # pixels of an object's shorter side


class CutObject(NamedTuple):
    """What was found in a photograph."""

    mask: np.ndarray | None  # (H, W) uint8, 255 on the object; None where it is no good
    verdict: str  # "plain border", "grabcut", or why there is no mask


def cut_object(rgb: np.ndarray) -> CutObject:
    """Find the one object of an (H, W, 3) uint8 RGB photograph."""
    mask, how = _from_plain_border(rgb), "plain border"
    if mask is None:
        masks = [_grabcut(rgb, margin) for margin in MARGINS]
        if _overlap(*masks) < AGREEMENT:
            return CutObject(None, "two starts disagree")
        mask, how = masks[0], "grabcut"
    mask, problem = _main_piece(mask)
    problem = problem or _weakness(rgb, mask)
    return CutObject(None, problem) if problem else CutObject(mask, how)


def _from_plain_border(rgb: np.ndarray) -> np.ndarray | None:
    """What a flood from the border leaves, (H, W) uint8; None where the border is not plain."""
    smooth = cv2.medianBlur(rgb, 3)
    border = np.concatenate([smooth[:3], smooth[-3:]], 1).reshape(-1, 3)
    border = np.concatenate([border, smooth[:, :3].reshape(-1, 3), smooth[:, -3:].reshape(-1, 3)])
    colour = np.median(border, 0)
    if (np.abs(border - colour).max(1) <= PLAIN_TOLERANCE).mean() < PLAIN_SHARE:
        return None
    plain = (np.abs(smooth - colour).max(2) <= PLAIN_TOLERANCE).astype(np.uint8)
    framed = cv2.copyMakeBorder(plain, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    cv2.floodFill(framed, None, (0, 0), 2)
    return np.where(framed[1:-1, 1:-1] == 2, 0, 255).astype(np.uint8)


def _grabcut(rgb: np.ndarray, margin: float) -> np.ndarray:
    """GrabCut from a centred rectangle, on a smaller picture; (H, W) uint8."""
    size = rgb.shape[1::-1]
    factor = min(GRABCUT_SIDE / max(size), 1)
    rgb = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    height, width = rgb.shape[:2]
    left, top = max(round(width * margin), 1), max(round(height * margin), 1)
    mask = np.zeros((height, width), np.uint8)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))  # models, which it fills
    cv2.setRNGSeed(0)  # its k-means starts at random
    rectangle = (left, top, width - 2 * left, height - 2 * top)
    how = (ITERATIONS, cv2.GC_INIT_WITH_RECT)
    cv2.grabCut(rgb, mask, rectangle, background, foreground, *how)
    found = np.where((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD), 255, 0).astype(np.uint8)
    grown = cv2.resize(found, size, interpolation=cv2.INTER_CUBIC)
    return np.where(grown >= 128, 255, 0).astype(np.uint8)


def _overlap(mask: np.ndarray, other: np.ndarray) -> float:
    """IoU of two masks; 0 where both are empty."""
    union = np.count_nonzero(mask | other)
    return np.count_nonzero(mask & other) / union if union else 0.0


def _main_piece(mask: np.ndarray) -> tuple[np.ndarray, str]:
    """The largest connected piece, its holes filled; and what is wrong with it, if anything."""
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if count < 2:
        return mask, "nothing found"
    sizes = stats[1:, cv2.CC_STAT_AREA]
    piece = np.where(numbers == 1 + sizes.argmax(), 255, 0).astype(np.uint8)
    outlines, _ = cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(piece, outlines, -1, 255, cv2.FILLED)
    return piece, "" if sizes.max() >= MAIN_PIECE * sizes.sum() else "in pieces"


def _weakness(rgb: np.ndarray, mask: np.ndarray) -> str:
    """Why a connected mask cannot be the object; empty if it can."""
    share = np.count_nonzero(mask) / mask.size
    if not AREA[0] <= share <= AREA[1]:
        return "too small" if share < AREA[0] else "too large"
    width, height = cv2.boundingRect(mask)[2:]
    if min(width, height) < SMALLEST:
        return "too thin"
    if np.count_nonzero(mask) > RECTANGLE * width * height:
        return "a picture in a frame"
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    if np.count_nonzero(border) > BORDER_CONTACT * len(border):
        return "cut off by the border"
    (outline,), _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if np.count_nonzero(mask) < SOLIDITY * cv2.contourArea(cv2.convexHull(outline)):
        return "ragged"
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    gradient = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    gradient = cv2.dilate(gradient, np.ones((3, 3)))
    rim = gradient[outline[:, 0, 1], outline[:, 0, 0]].mean()
    return "" if rim >= EDGE_CONTRAST * gradient.mean() else "outline without contrast"


def draw_sheet(pairs: Sequence[tuple[np.ndarray, np.ndarray]], tile: int = 100) -> np.ndarray:
    """Draw photographs (H, W, 3), green where their masks (H, W) are 0, on one sheet to look at."""
    columns = max(round(len(pairs) ** 0.5 * 1.3), 1)
    rows = max(-(-len(pairs) // columns), 1)
    sheet = np.zeros((rows * tile, columns * tile, 3), np.uint8)
    for number, (image, mask) in enumerate(pairs):
        shown = np.where(mask[..., None] > 0, image, image // 4 + np.array([0, 96, 0], np.uint8))
        factor = tile / max(mask.shape)
        shown = cv2.resize(shown, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)[
            :tile, :tile
        ]
        y, x = (place * tile for place in divmod(number, columns))
        sheet[y : y + len(shown), x : x + shown.shape[1]] = shown
    return sheet
