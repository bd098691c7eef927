"""Pictures to compose clips from: made up, or taken from photographs with label maps.

A `Textures` gives three things, each drawn from the generator handed in: a background canvas, cut-
out objects that look alike, and a region of a photograph that can be a target itself.
`lib/synthetic/compose.py` moves them.
"""

from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from lib.utils.image import read_rgb

Generator = np.random.Generator

SEGMENT_SHARE = (0.008, 0.4)  # a segment's pixels over the photograph's: no speck, not the sky
SEGMENT_FILL = 0.35  # its pixels over its box's, at least: no webs and rings
SEGMENT_SIDE = 16  # its shorter side in pixels, at least
SEGMENT_ASPECT = 4  # its longer side over its shorter one, at most
SEGMENT_TEXTURE = 10.0  # standard deviation of its grey levels, at least
SPLITS = {  # of a list of photographs
    "all": lambda paths: paths,
    "train": lambda paths: [path for i, path in enumerate(paths) if i % 10],
    "val": lambda paths: paths[::10],
}
CANDIDATES = 6  # rectangles looked at before the one with most texture is taken as a target


class Cutout(NamedTuple):
    """An object on its own."""

    rgb: np.ndarray  # (h, w, 3) uint8
    alpha: np.ndarray  # (h, w) uint8, 255 on the object, 0 beside it


class Region(NamedTuple):
    """Part of a picture, a target that moves only because the camera does."""

    canvas: np.ndarray  # (H, W, 3) uint8 RGB
    alpha: np.ndarray  # (h, w) uint8, 255 on the region
    corner: tuple[int, int]  # x, y of alpha's first pixel in the canvas


class Textures(Protocol):
    """Where a clip's pictures come from."""

    def canvas(self, generator: Generator) -> np.ndarray:
        """Return a background, (H, W, 3) uint8 RGB, of any size."""

    def cutouts(self, generator: Generator, count: int) -> list[Cutout]:
        """Return `count` objects that are hard to tell apart: the first one is to be the target."""

    def region(self, generator: Generator) -> Region:
        """Return a canvas and the part of it to be followed."""


class PhotoTextures:
    """Photographs `<stem>.jpg` with label maps `<stem>.png` (one integer a pixel) of one folder.

    Segments of the label maps are the objects. The last `keep` photographs stay decoded.
    """

    def __init__(
        self, folder: str | Path, keep: int = 64, split: str = "all", rectangles: float = 0.5
    ) -> None:
        """List the folder; files are read, and checked, when they are drawn.

        Args:
            split: "all" photographs, or "train" or "val": every tenth by name is in "val" only.
            rectangles: chance that `region` gives a rectangle instead of a segment.

        Raises:
            FileNotFoundError: no folder, no photograph in it, or one without its label map.
            KeyError: another split.
        """
        self.folder = Path(folder)
        self.photographs = SPLITS[split](sorted(self.folder.glob("*.jpg")))
        if not self.photographs:
            raise FileNotFoundError(
                f"{self.folder}: no *.jpg; photographs with label maps (*.png) are needed"
            )
        for path in self.photographs:
            if not path.with_suffix(".png").is_file():
                raise FileNotFoundError(f"{path}: its label map {path.stem}.png is missing")
        self._keep = keep
        self._rectangles = rectangles
        self._kept: dict[Path, tuple[np.ndarray, list[Region]]] = {}

    def canvas(self, generator: Generator) -> np.ndarray:
        """Return a whole photograph."""
        return self._draw(generator)[0]

    def cutouts(self, generator: Generator, count: int) -> list[Cutout]:
        """Cut `count` objects from one photograph, mirrored by chance.

        As often segments (some twice if need be) as blobs cut regardless of them: most real
        objects have parts of several colours.
        """
        photo, regions = self._draw(generator)
        if generator.random() < 0.5:
            order = generator.permutation(len(regions))
            chosen = [regions[order[i % len(order)]] for i in range(count)]
        else:
            chosen = [_piece(generator, photo) for _ in range(count)]
        return [_mirrored(generator, _cut(region)) for region in chosen]

    def region(self, generator: Generator) -> Region:
        """Return a photograph and one of its segments, or a rectangle somewhere in it."""
        photo, regions = self._draw(generator)
        if generator.random() < 1 - self._rectangles:
            return regions[generator.integers(len(regions))]
        return textured_rectangle(generator, photo)

    def _draw(self, generator: Generator) -> tuple[np.ndarray, list[Region]]:
        """Read a random photograph and list its usable segments (never none)."""
        path = self.photographs[generator.integers(len(self.photographs))]
        if path not in self._kept:
            while len(self._kept) >= max(self._keep, 1):
                self._kept.pop(next(iter(self._kept)))
            photo = read_rgb(path)
            self._kept[path] = (
                photo,
                _segments(photo, _read_labels(path.with_suffix(".png"), photo.shape[:2])),
            )
        return self._kept[path]


def _read_labels(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Read a label map, (H, W) integers.

    Raises:
        ValueError: not a single-channel image of the photograph's size.
    """
    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if labels is None or labels.ndim != 2:
        raise ValueError(f"{path}: not a label map (an image of one channel, one integer a pixel)")
    if labels.shape != shape:
        given, needed = (f"{s[1]}x{s[0]}" for s in (labels.shape, shape))
        raise ValueError(f"{path}: the label map is {given} pixels, its photograph {needed}")
    return labels


def _segments(photo: np.ndarray, labels: np.ndarray) -> list[Region]:
    """List the segments that can pass for objects; an ellipse in the middle if none can."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    values, pixels = np.unique(labels, return_counts=True)
    found = []
    for label in values[pixels >= SEGMENT_SHARE[0] * labels.size]:
        found += _parts(photo, grey, (labels == label).astype(np.uint8))
    if not found:
        side = min(photo.shape[:2]) // 2
        corner = ((photo.shape[1] - side) // 2, (photo.shape[0] - side) // 2)
        found.append(Region(photo, _ellipse(side, side), corner))
    return found


def _parts(photo: np.ndarray, grey: np.ndarray, mask: np.ndarray) -> list[Region]:
    """List the connected parts of one label that are not too small, large, thin or flat."""
    left, top, across, down = cv2.boundingRect(mask)
    total, mask = mask.size, mask[top : top + down, left : left + across]
    grey = grey[top : top + down, left : left + across]
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    found = []
    for part in range(1, count):
        x, y, width, height, pixels = (int(v) for v in stats[part])
        sides = sorted((width, height))
        fits = SEGMENT_SHARE[0] <= pixels / total <= SEGMENT_SHARE[1]
        compact = pixels >= SEGMENT_FILL * width * height and sides[1] <= SEGMENT_ASPECT * sides[0]
        if not fits or not compact or sides[0] < SEGMENT_SIDE:
            continue
        solid = (parts[y : y + height, x : x + width] == part).astype(np.uint8)
        outlines, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(solid, outlines, -1, 255, cv2.FILLED)  # what it encloses belongs to it
        if grey[y : y + height, x : x + width][solid > 0].std() >= SEGMENT_TEXTURE:
            found.append(Region(photo, solid, (left + x, top + y)))
    return found


def _cut(region: Region) -> Cutout:
    """Cut a region out, one pixel inside its edge: no rim of the surroundings comes along."""
    alpha = cv2.copyMakeBorder(region.alpha, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    alpha = cv2.erode(alpha, np.ones((3, 3), np.uint8))
    (x, y), (height, width) = region.corner, region.alpha.shape
    rgb = region.canvas[y : y + height, x : x + width]
    return Cutout(rgb, cv2.GaussianBlur(alpha, (3, 3), 0)[1:-1, 1:-1])


def _mirrored(generator: Generator, cutout: Cutout) -> Cutout:
    """Mirror left to right with probability one half."""
    flip = generator.random() < 0.5
    return Cutout(*(np.ascontiguousarray(part[:, ::-1]) for part in cutout)) if flip else cutout


def _piece(generator: Generator, photo: np.ndarray) -> Region:
    """Choose a blob-shaped part of a photograph."""
    region = textured_rectangle(generator, photo)
    return region._replace(alpha=blob(generator, *region.alpha.shape))


def textured_rectangle(generator: Generator, canvas: np.ndarray) -> Region:
    """Choose a textured rectangle, 0.12 to 0.4 of the canvas's side, its aspect 1:3 to 3:1."""
    height, width = canvas.shape[:2]
    grey = cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)
    best, most = None, -1.0
    for _ in range(CANDIDATES):
        size = min(height, width) * generator.uniform(0.12, 0.4)
        stretch = np.exp(generator.uniform(-0.55, 0.55))
        w, h = max(round(size * stretch), 2), max(round(size / stretch), 2)
        x, y = int(generator.integers(width - w + 1)), int(generator.integers(height - h + 1))
        texture = grey[y : y + h, x : x + w].std()
        if texture > most:
            best, most = Region(canvas, np.full((h, w), 255, np.uint8), (x, y)), texture
    return best


def blob(generator: Generator, height: int, width: int) -> np.ndarray:
    """Draw a smooth closed outline that fills the given box; (height, width) uint8, 255 inside."""
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    radius = np.ones_like(angle)
    for wave in range(2, 6):
        swing, phase = generator.normal(0, 0.3 / wave), generator.uniform(0, 2 * np.pi)
        radius += swing * np.cos(wave * angle + phase)
    outline = np.stack([np.cos(angle), np.sin(angle)], 1) * np.maximum(radius, 0.3)[:, None]
    outline -= outline.min(0)
    outline *= (np.array([width, height]) - 1) / outline.max(0)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    return mask


def _ellipse(height: int, width: int) -> np.ndarray:
    """Draw an ellipse that fills the given box; (height, width) uint8, 255 inside."""
    mask = np.zeros((height, width), np.uint8)
    centre, axes = (width // 2, height // 2), (width // 2 - 1, height // 2 - 1)
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, cv2.FILLED)
    return mask
