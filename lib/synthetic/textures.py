"""What clips show: backgrounds, objects and regions; here from photographs (photographs.py).

`Textures` is the protocol; `procedural.py` has another one, which needs no files.
"""

from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.random import Generator

from lib.synthetic.photographs import Photographs, Region

SPLITS = {  # of the numbers of photographs
    "all": lambda numbers: numbers,
    "train": lambda numbers: numbers[numbers % 10 != 0],
    "val": lambda numbers: numbers[numbers % 10 == 0],
}
CANDIDATES = 6  # rectangles, of which the one with most texture is taken as a target
BLOBS = 0.3  # of the objects are blobs cut regardless of segments: most have several colours
KIN = 5  # places by which two photographs are apart whose objects may look alike: names have kinds


class Cutout(NamedTuple):
    """An object on its own."""

    rgb: np.ndarray  # (h, w, 3) uint8
    alpha: np.ndarray  # (h, w) uint8, 255 on the object, 0 beside it


class Textures(Protocol):
    """Where a clip's images come from; everything random is drawn from the generator handed in."""

    def background(self, rng: Generator) -> np.ndarray:
        """Return a background, (H, W, 3) uint8 RGB, of any size."""

    def cutouts(self, rng: Generator, count: int) -> list[Cutout]:
        """Return `count` objects that are hard to tell apart: the first one is to be the target."""

    def region(self, rng: Generator) -> Region:
        """Return a background and the part of it to be tracked."""


class PhotoTextures:
    """Photographs of a folder; the segments of those that have a mask are objects."""

    def __init__(self, folder: str | Path, split: str = "all", rectangles: float = 0.5) -> None:
        """Map the folder's photographs; the first time, they are decoded.

        Args:
            split: "all" photographs, or "train" or "val": every tenth by name is in "val" only.
            rectangles: chance that `region` gives a rectangle instead of a segment.

        Raises:
            FileNotFoundError, ValueError: see `Photographs`; or none in this split.
        """
        self._photographs = Photographs(Path(folder))
        self.numbers = SPLITS[split](np.arange(len(self._photographs)))
        if not len(self.numbers):
            raise FileNotFoundError(f"{folder}: too few photographs for a part {split!r}")
        counts = np.array([self._photographs.segment_count(number) for number in self.numbers])
        self._masked = self.numbers[counts > 0]
        # Photographs of one object often have a plain background.
        scenes = self.numbers[counts != 1]
        self._scenes = scenes if len(scenes) else self.numbers
        self._rectangles = rectangles

    def background(self, rng: Generator) -> np.ndarray:
        return self._photographs.image(int(self._scenes[rng.integers(len(self._scenes))]))

    def cutouts(self, rng: Generator, count: int) -> list[Cutout]:
        """Cut out `count` objects, each mirrored with probability one half.

        They are blobs of one image, or a segment and others of the same image or the same kind.
        """
        if not len(self._masked) or rng.random() < BLOBS:
            image = self.background(rng)
            regions = [textured_region(rng, image, as_blob=True) for _ in range(count)]
        else:
            place = int(rng.integers(len(self._masked)))
            regions = [self._segment(rng, place)]
            for _ in range(count - 1):
                kin = place + (rng.random() < 0.6) * int(rng.integers(-KIN, KIN, endpoint=True))
                regions.append(self._segment(rng, kin % len(self._masked)))
        return [_cut(region, mirrored=rng.random() < 0.5) for region in regions]

    def region(self, rng: Generator) -> Region:
        """Return an image and one of its segments, or a rectangle somewhere in it."""
        if len(self._masked) and rng.random() < 1 - self._rectangles:
            return self._segment(rng, int(rng.integers(len(self._masked))))
        return textured_region(rng, self.background(rng))

    def _segment(self, rng: Generator, place: int) -> Region:
        """One segment of the photograph at a place in the list of those with segments."""
        number = int(self._masked[place])
        count = self._photographs.segment_count(number)
        return self._photographs.segment(number, int(rng.integers(count)))


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
