"""Made-up pictures to compose clips from: patterns on blobs before clouds of colour.

`ProceduralTextures` is a `Textures` (`lib/synthetic/textures.py`) that needs no files.
"""

import cv2
import numpy as np

from lib.synthetic.textures import Cutout, Region, blob, textured_rectangle

Generator = np.random.Generator

PATTERNS = {  # of coordinates u, v in periods; "clouds" are noise
    "clouds": None,
    "stripes": lambda u, v: u % 1 < 0.5,
    "checkers": lambda u, v: (u // 1 + v // 1) % 2,
    "spots": lambda u, v: np.hypot(u % 1 - 0.5, v % 1 - 0.5) < 0.33,
}


class ProceduralTextures:
    """Smooth noise, stripes, checkers and spots in random colours on random blobs."""

    def canvas(self, generator: Generator) -> np.ndarray:
        """Return clouds of colour at several scales with a few faint shapes on them, 360 x 480."""
        height, width = 360, 480
        image = _pattern(generator, height, width, "clouds", _palette(generator, 60, 25))
        image = image.astype(np.float32)
        for _ in range(generator.integers(6, 20)):
            shape = blob(generator, *generator.integers(20, 160, 2))
            y, x = generator.integers(height - 20), generator.integers(width - 20)
            part = image[y : y + shape.shape[0], x : x + shape.shape[1]]
            opacity = shape[: part.shape[0], : part.shape[1], None].astype(np.float32)
            opacity *= np.float32(generator.uniform(0.2, 0.8) / 255)
            part += opacity * (_colour(generator, 35) - part)
        grain = 5 * generator.standard_normal((height, width, 1), np.float32)
        return np.clip(image + grain, 0, 255).astype(np.uint8)

    def cutouts(self, generator: Generator, count: int) -> list[Cutout]:
        """Make `count` blobs that share a palette and a pattern."""
        palette = _palette(generator, 140, 60)
        kind = list(PATTERNS)[generator.integers(len(PATTERNS))]
        return [_object(generator, kind, palette) for _ in range(count)]

    def region(self, generator: Generator) -> Region:
        """Return a canvas and a rectangle in it."""
        return textured_rectangle(generator, self.canvas(generator))


def _object(generator: Generator, kind: str, palette: np.ndarray) -> Cutout:
    """Make a shaded blob, its longer side 120 pixels."""
    stretch = np.exp(generator.uniform(-0.8, 0.8))
    height, width = round(120 * min(stretch, 1)), round(120 / max(stretch, 1))
    rgb = _pattern(generator, height, width, kind, palette).astype(np.float32)
    light = np.linspace(1.15, 0.75, height, dtype=np.float32)[:, None, None]
    return Cutout(np.clip(rgb * light, 0, 255).astype(np.uint8), blob(generator, height, width))


def _colour(generator: Generator, vivid: float) -> np.ndarray:
    """Draw an RGB colour (3,) float32 in [0, 255], its channels about `vivid` levels from grey."""
    colour = generator.uniform(50, 205) + generator.normal(0, vivid, 3)
    return np.clip(colour, 0, 255).astype(np.float32)


def _palette(generator: Generator, contrast: float, vivid: float) -> np.ndarray:
    """Draw three colours about `contrast` levels apart; (3, 3) in [0, 255]."""
    shifts = generator.normal(0, contrast / 2, (3, 1)) + generator.normal(0, vivid / 2, (3, 3))
    return np.clip(_colour(generator, vivid) + shifts, 0, 255)


def _pattern(
    generator: Generator, height: int, width: int, kind: str, palette: np.ndarray
) -> np.ndarray:
    """Colour a picture by a pattern of `PATTERNS`; (height, width, 3) uint8."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle, period = generator.uniform(0, np.pi), generator.uniform(8, 28)
    u = (x * np.cos(angle) + y * np.sin(angle)) / period
    v = (y * np.cos(angle) - x * np.sin(angle)) / period
    clouds = _noise(generator, height, width)[..., None]
    mix = clouds if kind == "clouds" else PATTERNS[kind](u, v)[..., None].astype(np.float32)
    first, second, third = palette.astype(np.float32)
    image = first + (second - first) * mix + 0.4 * (third - first) * clouds
    return np.clip(image, 0, 255).astype(np.uint8)


def _noise(generator: Generator, height: int, width: int) -> np.ndarray:
    """Sum smooth noise at four scales; (height, width) float32 from 0 to 1."""
    total = np.zeros((height, width), np.float32)
    for octave in range(4):
        cells = generator.random((3 * 2**octave + 1, 4 * 2**octave + 1), np.float32)
        total += cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)
