"""Smooth random paths: of objects in the image, of the camera over a canvas, of hands that hold it.

Only arrays and the generator handed in; `plan.py` turns paths into clips. T frames;
positions are x, y in pixels. "Stationary" noise stays around its mean, a "walk" is its running sum.
"""

from typing import NamedTuple

import numpy as np

Generator = np.random.Generator


class Path(NamedTuple):
    """Where an object is, how large and how it lies."""

    centre: np.ndarray  # (T, 2) image pixels
    scale: np.ndarray  # (T,) factor on the object's nominal size
    angle: np.ndarray  # (T,) radians, clockwise on the screen
    stretch: np.ndarray  # (T,) factor on the width, its inverse on the height
    shear: np.ndarray  # (T,)


def steady(centre: np.ndarray, scale: np.ndarray | None = None) -> Path:
    """Return the path of something that neither turns nor bends, at `centre` (T, 2)."""
    ones, zeros = np.ones(len(centre)), np.zeros(len(centre))
    return Path(centre, ones if scale is None else scale, zeros, ones, zeros)


def stationary(generator: Generator, length: int, axes: int, smooth: float) -> np.ndarray:
    """Return Gaussian noise of unit variance, smooth over about `smooth` frames; (length, axes)."""
    reach = max(int(np.ceil(3 * smooth)), 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(smooth, 1e-6)) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    white = generator.standard_normal((length + 2 * reach, axes))
    return np.stack([np.convolve(column, kernel, "valid") for column in white.T], 1)


def walk(generator: Generator, length: int, step: float, smooth: float) -> np.ndarray:
    """Return a smooth walk from 0, 0 with `step` pixels a frame (RMS); (length, 2)."""
    velocity = stationary(generator, length, 2, smooth) * step / np.sqrt(2)
    velocity[0] = 0
    return np.cumsum(velocity, 0)


def folded(positions: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Reflect positions (T, 2) at bounds (2,), turns rounded off; the middle where low >= high."""
    middle = (low + high) / 2
    span = np.maximum(high - low, 0)
    safe = np.where(span > 0, span, 1)
    phase = np.mod(positions - low, 2 * safe)
    inside = low + safe - np.abs(phase - safe)
    return _rounded(np.where(span > 0, inside, middle))


def turning(generator: Generator, length: int, degrees: float) -> np.ndarray:
    """Return angles (length,) in radians: as often a sway to and fro as a free rotation."""
    smooth = generator.uniform(8, 40)
    if generator.random() < 0.5:
        sway = stationary(generator, length, 1, smooth)[:, 0]
        return np.deg2rad(degrees * generator.uniform(0, 3)) * sway
    return walk(generator, length, np.deg2rad(degrees) * generator.uniform(0, 1.4), smooth)[:, 0]


def scaling(generator: Generator, length: int, change: float) -> np.ndarray:
    """Return factors (length,) around 1, the greatest less than `change` times the smallest."""
    drawn = generator.uniform(0, np.log(change))
    shape = np.tanh(0.8 * stationary(generator, length, 1, generator.uniform(15, 60))[:, 0])
    return np.exp(drawn / 2 * shape)


def object_path(
    generator: Generator,
    frame: tuple[int, int],
    length: int,
    size: float,
    step: float,
    leaves: bool,
) -> Path:
    """Return a free path that starts inside a frame (height, width); shape is left steady.

    `size` in pixels keeps it from the borders; `step` is pixels a frame (RMS). A path that
    `leaves` may go out of the frame and come back.
    """
    extent = np.array([frame[1], frame[0]], np.float64)
    room = np.minimum(0.6 * size, extent / 2)
    start = generator.uniform(room, extent - room + 1e-9)
    margin = np.full(2, -size if leaves else size * generator.uniform(0.1, 0.5))
    moves = walk(generator, length, step, np.exp(generator.uniform(np.log(3), np.log(40))))
    return steady(
        folded(
            start + moves, np.minimum(margin, extent / 2), np.maximum(extent - margin, extent / 2)
        )
    )


def bent(generator: Generator, path: Path, change: float, degrees: float) -> Path:
    """Let a steady path scale, turn and, in most cases, stretch and shear a little."""
    length = len(path.centre)
    bend = stationary(generator, length, 2, generator.uniform(6, 30)) * generator.uniform(0, 0.12)
    bend *= generator.random() < 0.7
    return path._replace(
        scale=path.scale * scaling(generator, length, change),
        angle=turning(generator, length, degrees),
        stretch=np.exp(bend[:, 0]),
        shear=bend[:, 1],
    )


def camera_path(
    generator: Generator,
    canvas: tuple[int, int],
    frame: tuple[int, int],
    zooms: np.ndarray,
    start: np.ndarray,
    reach: np.ndarray,
    step: float,
) -> np.ndarray:
    """Return matrices (T, 2, 3) from canvas to image for a view that pans, zooms and sways.

    The view of `frame` (height, width) pixels stays on the `canvas` (height, width) but for the
    sway, its centre within `reach` (2,) canvas pixels of `start` (2,). `zooms` (T,), image pixels a
    canvas pixel, are raised where the view would be larger than the canvas; `step` is image pixels
    a frame (RMS).
    """
    extent = np.array([canvas[1], canvas[0]], np.float64)
    view = np.array([frame[1], frame[0]], np.float64)
    zooms = np.maximum(zooms, (view / extent).max())
    half = view / 2 / zooms[:, None]  # (T, 2) canvas pixels
    low, high = half.mean(0), extent - half.mean(0)
    start = np.clip(start, low, np.maximum(high, low))
    moves = walk(
        generator, len(zooms), step / zooms.mean(), np.exp(generator.uniform(np.log(5), np.log(50)))
    )
    centre = folded(start + moves, np.maximum(low, start - reach), np.minimum(high, start + reach))
    centre = np.clip(centre, half, np.maximum(extent - half, half))
    angle = np.deg2rad(generator.uniform(0, 3)) * stationary(generator, len(zooms), 1, 25)[:, 0]
    linear = _rotations(angle * (generator.random() < 0.5)) * zooms[:, None, None]
    return _about(linear, centre - 0.5, (view - 1) / 2)


def placements(path: Path, shape: tuple[int, int], nominal: np.ndarray) -> np.ndarray:
    """Return matrices (T, 2, 3) that place a picture of `shape` (height, width) along a path.

    At scale 1 it is `nominal` (width, height) pixels large.
    """
    picture = np.array([shape[1], shape[0]], np.float64)
    sides = (
        path.scale[:, None] * nominal / picture * np.stack([path.stretch, 1 / path.stretch], 1)
    )  # (T, 2)
    shape_matrix = np.zeros((len(path.scale), 2, 2))
    shape_matrix[:, 0, 0], shape_matrix[:, 1, 1] = sides[:, 0], sides[:, 1]
    shape_matrix[:, 0, 1] = path.shear * sides[:, 1]
    return _about(_rotations(path.angle) @ shape_matrix, (picture - 1) / 2, path.centre)


def through(matrices: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Map one point (2,) by every matrix (T, 2, 3): (T, 2)."""
    return matrices[:, :, :2] @ point + matrices[:, :, 2]


def zoom_of(matrices: np.ndarray) -> np.ndarray:
    """Return the factor on lengths of each matrix, (T,)."""
    return np.sqrt(np.abs(np.linalg.det(matrices[:, :, :2])))


def _about(linear: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Join linear maps (T, 2, 2) with the shift that takes `source` to `target`, (2,) or (T, 2)."""
    source = np.broadcast_to(source, (len(linear), 2))
    shift = target - np.einsum("tij,tj->ti", linear, source)
    return np.concatenate([linear, shift[:, :, None]], 2)


def _rotations(angle: np.ndarray) -> np.ndarray:
    """Return rotation matrices (T, 2, 2)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cosine, -sine], 1), np.stack([sine, cosine], 1)], 1)


def _rounded(positions: np.ndarray, smooth: float = 1.5) -> np.ndarray:
    """Average positions (T, 2) over a few frames."""
    reach = 5
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / smooth) ** 2)
    padded = np.pad(positions, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel / kernel.sum(), "valid") for column in padded.T], 1)
