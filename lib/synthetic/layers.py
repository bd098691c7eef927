"""Make the layers of a clip: cut-out objects at their size, bending, repainted, their shadows."""

import cv2
import numpy as np
from numpy.random import Generator

from lib.synthetic import motion
from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.render import SOLID, Layer, premultiplied
from lib.synthetic.textures import Cutout

MIN_SIDE = 3.0  # pixels: no side of an object's box is planned smaller
BEND_MARGIN = 0.2  # of an object's sides, into which it may bend


def make_layer(
    rng: Generator,
    cutout: Cutout,
    size: float,
    trajectory: motion.Trajectory,
    options: ClipOptions,
    paint: np.ndarray | None = None,
) -> Layer:
    """Make a layer of a cut-out whose box has an area of size ** 2 pixels at scale 1.

    paint: (H, W, 3) uint8 RGB, of which the colours are that it may turn into.
    """
    sides = np.array(cutout.alpha.shape[::-1])
    nominal = np.maximum(size * sides / np.sqrt(sides.prod()), MIN_SIDE)
    largest = nominal * np.max(trajectory.scale)  # shrink once, well; warping does not average
    factor = min(float((largest / sides).max()), 1.0)
    resized = Cutout(downscale(cutout.rgb, factor), downscale(cutout.alpha, factor))
    grid = None
    if options.bend and rng.random() < options.bend:
        grid = motion.bending_grid(rng, len(trajectory.centre))
        resized, nominal = _with_margin(resized, nominal)
    matrices = motion.object_matrices(trajectory, resized.alpha.shape, nominal)
    repaint = None
    if paint is not None and options.repaint and rng.random() < options.repaint:
        repaint = _repaint(rng, resized, paint, len(matrices))
    return Layer(premultiplied(resized), matrices, grid, repaint)


def _with_margin(cutout: Cutout, nominal: np.ndarray) -> tuple[Cutout, np.ndarray]:
    """Give an object room to bend into; returns it and its (width, height) with the margin."""
    sides = np.array(cutout.alpha.shape[::-1])
    x, y = (BEND_MARGIN * sides).astype(int) + 1
    padded = Cutout(*(cv2.copyMakeBorder(part, y, y, x, x, cv2.BORDER_CONSTANT) for part in cutout))
    return padded, nominal * padded.alpha.shape[::-1] / sides


def _repaint(
    rng: Generator, cutout: Cutout, paint: np.ndarray, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """The object with half of its colours from a part of `paint`, and its share over time (T,)."""
    (height, width), (rows, columns) = cutout.alpha.shape, paint.shape[:2]
    y, x = (
        int(rng.integers(max(rows - height, 0) + 1)),
        int(rng.integers(max(columns - width, 0) + 1)),
    )
    part = cv2.resize(paint[y : y + height, x : x + width], (width, height))
    shifted = np.roll(part, int(rng.integers(3)), 2)
    mixed = cv2.addWeighted(cutout.rgb, 0.5, shifted, 0.5, 0)
    noise = motion.smooth_noise(rng, length, 1, rng.uniform(5, 30))[:, 0]
    return premultiplied(Cutout(mixed, cutout.alpha)), 0.5 + 0.5 * np.tanh(1.5 * noise)


def make_shadow(rng: Generator, layer: Layer) -> Layer:
    """A dark, blurred image of a layer, squeezed and beside it, on the same trajectory."""
    height, width = layer.patch.shape[:2]
    alpha = cv2.GaussianBlur(
        np.ascontiguousarray(layer.patch[..., 3]), (0, 0), max(width / 30, 0.5)
    )
    dark = np.zeros_like(layer.patch)
    dark[..., 3] = alpha * rng.uniform(0.3, 0.7)
    squeeze = rng.uniform(0.3, 1)
    shift = np.array([rng.normal(0, 0.3) * width, height * rng.uniform(0.1, 1 - squeeze / 2)])
    onto = np.array([[1, rng.normal(0, 0.3), shift[0]], [0, squeeze, shift[1]], [0, 0, 1]])
    return Layer(dark, layer.matrices @ onto, layer.grid)


def lower_contrast(rng: Generator, cutout: Cutout, background: np.ndarray) -> Cutout:
    """Bring an object's colours close to the mean colour of the background."""
    inside = cutout.alpha >= SOLID
    mean = cutout.rgb[inside].mean(0) if inside.any() else cutout.rgb.mean((0, 1))
    shift = rng.standard_normal(3)
    shift *= rng.uniform(20, 45) / np.linalg.norm(shift)
    towards = np.array(cv2.mean(background)[:3]) + shift
    rgb = (cutout.rgb - mean) * rng.uniform(0.35, 0.8) + towards
    return cutout._replace(rgb=np.clip(rgb, 0, 255).astype(np.uint8))


def downscale(image: np.ndarray, factor: float) -> np.ndarray:
    if factor >= 1:
        return image
    size = [max(round(side * factor), 1) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
