"""What clips show: backgrounds, objects and regions; here from images with segmentation masks.

`Textures` is the protocol; `procedural.py` has another one, which needs no files.
"""

import functools
import logging
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.random import Generator

from lib.io.listing import is_listed
from lib.utils.image import ImageError, read_rgb

logger = logging.getLogger(__name__)

SEGMENT_SHARE = (0.008, 0.4)  # a segment's pixels over the image's: no speck, not the sky
SEGMENT_FILL = 0.35  # its pixels over its box's, at least: no webs and rings
SEGMENT_SIDE = 16  # its shorter side in pixels, at least
SEGMENT_ASPECT = 4  # its longer side over its shorter one, at most
SEGMENT_TEXTURE = 10.0  # standard deviation of its grey levels, at least
SPLITS = {  # of a list of images
    "all": lambda paths: paths,
    "train": lambda paths: [path for i, path in enumerate(paths) if i % 10],
    "val": lambda paths: paths[::10],
}
MAX_DRAWS = 100  # of photographs, until one can be read
CANDIDATES = 6  # rectangles, of which the one with most texture is taken as a target


class Cutout(NamedTuple):
    """An object on its own."""

    rgb: np.ndarray  # (h, w, 3) uint8
    alpha: np.ndarray  # (h, w) uint8, 255 on the object, 0 beside it


class Region(NamedTuple):
    """Part of an image: a target that moves only because the camera does."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    alpha: np.ndarray  # (h, w) uint8, 255 on the region
    corner: tuple[int, int]  # x, y of alpha's first pixel in the image


class Textures(Protocol):
    """Where a clip's images come from; everything random is drawn from the generator handed in."""

    def background(self, rng: Generator) -> np.ndarray:
        """Return a background, (H, W, 3) uint8 RGB, of any size."""

    def cutouts(self, rng: Generator, count: int) -> list[Cutout]:
        """Return `count` objects that are hard to tell apart: the first one is to be the target."""

    def region(self, rng: Generator) -> Region:
        """Return a background and the part of it to be tracked."""


class PhotoTextures:
    """Images `<stem>.jpg` of a folder, the segments of their masks `<stem>.png` as objects."""

    def __init__(self, folder: str | Path, split: str = "all", rectangles: float = 0.5) -> None:
        """List the folder; files are read, and checked, when they are drawn.

        Args:
            split: "all" images, or "train" or "val": every tenth by name is in "val" only.
            rectangles: chance that `region` gives a rectangle instead of a segment.

        FileNotFoundError: no folder, no image in it, or one without its segmentation mask.
        """
        paths = [path for path in sorted(Path(folder).glob("*.jpg")) if is_listed(path.name)]
        self.photographs: list[Path] = SPLITS[split](paths)
        if not self.photographs:
            needed = "images with segmentation masks (*.png) are needed"
            raise FileNotFoundError(f"{folder}: no *.jpg; {needed}")
        for path in self.photographs:
            if not path.with_suffix(".png").is_file():
                raise FileNotFoundError(f"{path}: its segmentation mask {path.stem}.png is missing")
        self._rectangles = rectangles
        self._broken: dict[Path, str] = {}  # why they cannot be read

    def background(self, rng: Generator) -> np.ndarray:
        return self._draw(rng)[0]

    def cutouts(self, rng: Generator, count: int) -> list[Cutout]:
        """Cut `count` objects from one image, each mirrored with probability one half.

        As often segments as blobs cut regardless of them: most real objects have several colours.
        """
        image, segments = self._draw(rng)
        if rng.random() < 0.5:
            order = rng.permutation(len(segments))
            regions = [segments[order[i % len(order)]] for i in range(count)]
        else:
            regions = [textured_region(rng, image, as_blob=True) for _ in range(count)]
        return [_cut(region, mirrored=rng.random() < 0.5) for region in regions]

    def region(self, rng: Generator) -> Region:
        """Return an image and one of its segments, or a rectangle somewhere in it."""
        image, segments = self._draw(rng)
        if rng.random() < 1 - self._rectangles:
            return segments[rng.integers(len(segments))]
        return textured_region(rng, image)

    def _draw(self, rng: Generator) -> tuple[np.ndarray, list[Region]]:
        """Choose an image at random; return it and its usable segments (never none).

        One that cannot be read is named once and replaced by another; ImageError after MAX_DRAWS.
        """
        for _ in range(MAX_DRAWS):
            path = self.photographs[rng.integers(len(self.photographs))]
            if path in self._broken:
                continue
            try:
                return _read_segments(path)
            except (OSError, ValueError) as error:  # no image, or no mask
                logger.warning("photograph left out, another one is drawn: %s", error)
                self._broken[path] = str(error)
        raise ImageError(f"{self._broken[path]}; none of {MAX_DRAWS} photographs drawn can be read")


@functools.lru_cache(maxsize=500)  # half a megabyte each, shared by all textures of a process
def _read_segments(path: Path) -> tuple[np.ndarray, list[Region]]:
    image = read_rgb(path)
    return image, _segments(image, _read_mask(path.with_suffix(".png"), image.shape[:2]))


def _read_mask(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read a segmentation mask, (H, W) integers; refuse one of another shape."""
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if mask is None or mask.ndim != 2:
        raise ValueError(f"{path}: not a segmentation mask (one channel, one integer per pixel)")
    if mask.shape != shape:
        actual, expected = (f"{width}x{height}" for height, width in (mask.shape, shape))
        raise ValueError(f"{path}: the mask is {actual} pixels, its image {expected}")
    return mask


def _segments(image: np.ndarray, mask: np.ndarray) -> list[Region]:
    """List the segments that can pass for objects; an ellipse in the middle if none can."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    labels, pixels = np.unique(mask, return_counts=True)
    segments = []
    for label in labels[pixels >= SEGMENT_SHARE[0] * mask.size]:
        segments += _components(image, grey, (mask == label).astype(np.uint8))
    if not segments:
        side = min(image.shape[:2]) // 2
        alpha, radius = np.zeros((side, side), np.uint8), side // 2
        cv2.ellipse(alpha, (radius,) * 2, (radius - 1,) * 2, 0, 0, 360, 255, cv2.FILLED)
        corner = ((image.shape[1] - side) // 2, (image.shape[0] - side) // 2)
        segments.append(Region(image, alpha, corner))
    return segments


def _components(image: np.ndarray, grey: np.ndarray, mask: np.ndarray) -> list[Region]:
    """List the connected parts of one label that are not too small, large, thin or flat."""
    left, top, across, down = cv2.boundingRect(mask)
    total, mask = mask.size, mask[top : top + down, left : left + across]
    grey = grey[top : top + down, left : left + across]
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    regions = []
    for number in range(1, count):
        x, y, width, height, pixels = (int(v) for v in stats[number])
        short, long = sorted((width, height))
        fits = SEGMENT_SHARE[0] <= pixels / total <= SEGMENT_SHARE[1]
        compact = pixels >= SEGMENT_FILL * width * height and long <= SEGMENT_ASPECT * short
        if not fits or not compact or short < SEGMENT_SIDE:
            continue
        rows, columns = slice(y, y + height), slice(x, x + width)
        alpha = (numbers[rows, columns] == number).astype(np.uint8)
        outlines, _ = cv2.findContours(alpha, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(alpha, outlines, -1, 255, cv2.FILLED)  # what it encloses belongs to it
        if grey[rows, columns][alpha > 0].std() >= SEGMENT_TEXTURE:
            regions.append(Region(image, alpha, (left + x, top + y)))
    return regions


def _cut(region: Region, mirrored: bool) -> Cutout:
    """Cut a region out, one pixel inside its edge: no rim of the surroundings comes along."""
    alpha = cv2.copyMakeBorder(region.alpha, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    alpha = cv2.erode(alpha, np.ones((3, 3), np.uint8))
    alpha = cv2.GaussianBlur(alpha, (3, 3), 0)[1:-1, 1:-1]
    (x, y), (height, width) = region.corner, alpha.shape
    rgb, step = region.image[y : y + height, x : x + width], -1 if mirrored else 1
    return Cutout(np.ascontiguousarray(rgb[:, ::step]), np.ascontiguousarray(alpha[:, ::step]))


def textured_region(rng: Generator, image: np.ndarray, as_blob: bool = False) -> Region:
    """Choose a textured rectangle (or blob): size 0.12 to 0.4 of the image's, aspect 1:3 to 3:1."""
    height, width = image.shape[:2]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    candidates = []
    for _ in range(CANDIDATES):
        size = min(height, width) * rng.uniform(0.12, 0.4)
        stretch = np.exp(rng.uniform(-0.55, 0.55))
        w, h = max(round(size * stretch), 2), max(round(size / stretch), 2)
        x, y = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
        candidates.append((float(grey[y : y + h, x : x + w].std()), x, y, w, h))
    _, x, y, w, h = max(candidates, key=lambda candidate: candidate[0])
    alpha = blob(rng, h, w) if as_blob else np.full((h, w), 255, np.uint8)
    return Region(image, alpha, (x, y))


def blob(rng: Generator, height: int, width: int) -> np.ndarray:
    """Draw a smooth closed outline that fills the given box; (height, width) uint8, 255 inside."""
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    radius = np.ones_like(angle)
    for wave in range(2, 6):
        swing, phase = rng.normal(0, 0.3 / wave), rng.uniform(0, 2 * np.pi)
        radius += swing * np.cos(wave * angle + phase)
    outline = np.stack([np.cos(angle), np.sin(angle)], 1) * np.maximum(radius, 0.3)[:, None]
    outline -= outline.min(0)
    outline *= (np.array([width, height]) - 1) / outline.max(0)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    return mask
