"""Procedural textures: patterns on blobs before clouds of colour; no files are needed."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from lib.synthetic.photographs import Region
from lib.synthetic.textures import Cutout, blob, textured_region

PATTERNS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {  # of u, v in periods
    "stripes": lambda u, v: u % 1 < 0.5,
    "checkers": lambda u, v: (u // 1 + v // 1) % 2,
    "spots": lambda u, v: np.hypot(u % 1 - 0.5, v % 1 - 0.5) < 0.33,
}
KINDS = ("clouds", *PATTERNS)  # clouds are smooth noise


class ProceduralTextures:
    """Smooth noise, stripes, checkers and spots in random colours on random blobs."""

    def background(self, rng: Generator) -> np.ndarray:
        """Return clouds of colour at several scales with a few faint shapes on them, 360 x 480."""
        height, width = 360, 480
        image = _pattern(rng, height, width, "clouds", _palette(rng, 60, 25)).astype(np.float32)
        for _ in range(rng.integers(6, 20)):
            shape = blob(rng, *rng.integers(20, 160, 2))
            y, x = rng.integers(height - 20), rng.integers(width - 20)
            part = image[y : y + shape.shape[0], x : x + shape.shape[1]]
            opacity = shape[: part.shape[0], : part.shape[1], None].astype(np.float32)
            opacity *= np.float32(rng.uniform(0.2, 0.8) / 255)
            part += opacity * (_colour(rng, 35) - part)
        grain = 5 * rng.standard_normal((height, width, 1), np.float32)
        return np.clip(image + grain, 0, 255).astype(np.uint8)

    def cutouts(self, rng: Generator, count: int) -> list[Cutout]:
        """Make `count` blobs that share a palette and a pattern."""
        palette, kind = _palette(rng, 140, 60), KINDS[rng.integers(len(KINDS))]
        return [_object(rng, kind, palette) for _ in range(count)]

    def region(self, rng: Generator) -> Region:
        return textured_region(rng, self.background(rng))


def _object(rng: Generator, kind: str, palette: np.ndarray) -> Cutout:
    """Make a shaded blob, its longer side 120 pixels."""
    stretch = np.exp(rng.uniform(-0.8, 0.8))
    height, width = round(120 * min(stretch, 1)), round(120 / max(stretch, 1))
    rgb = _pattern(rng, height, width, kind, palette).astype(np.float32)
    light = np.linspace(1.15, 0.75, height, dtype=np.float32)[:, None, None]
    return Cutout(np.clip(rgb * light, 0, 255).astype(np.uint8), blob(rng, height, width))


def _colour(rng: Generator, vivid: float) -> np.ndarray:
    """Draw an RGB colour (3,) float32 in [0, 255], its channels about `vivid` levels from grey."""
    return np.clip(rng.uniform(50, 205) + rng.normal(0, vivid, 3), 0, 255).astype(np.float32)


def _palette(rng: Generator, contrast: float, vivid: float) -> np.ndarray:
    """Draw three colours about `contrast` levels apart; (3, 3) in [0, 255]."""
    shifts = rng.normal(0, contrast / 2, (3, 1)) + rng.normal(0, vivid / 2, (3, 3))
    return np.clip(_colour(rng, vivid) + shifts, 0, 255)


def _pattern(rng: Generator, height: int, width: int, kind: str, palette: np.ndarray) -> np.ndarray:
    """Colour an image by one of KINDS; (height, width, 3) uint8."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(8, 28)
    u = (x * np.cos(angle) + y * np.sin(angle)) / period
    v = (y * np.cos(angle) - x * np.sin(angle)) / period
    clouds = _noise(rng, height, width)[..., None]
    mix = PATTERNS[kind](u, v)[..., None].astype(np.float32) if kind in PATTERNS else clouds
    first, second, third = palette.astype(np.float32)
    image = first + (second - first) * mix + 0.4 * (third - first) * clouds
    return np.clip(image, 0, 255).astype(np.uint8)


def _noise(rng: Generator, height: int, width: int) -> np.ndarray:
    """Sum smooth noise at four scales; (height, width) float32 from 0 to 1."""
    total = np.zeros((height, width), np.float32)
    for octave in range(4):
        cells = rng.random((3 * 2**octave + 1, 4 * 2**octave + 1), np.float32)
        total += cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)
