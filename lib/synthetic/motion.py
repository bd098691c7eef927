"""Smooth random motion: of objects in the image, of the camera over a background.

T frames; positions are x, y in pixels; a matrix (2, 3) maps pixel centres. See `plan.py`.
"""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from lib.synthetic.clip_options import ClipOptions

Shape = tuple[int, ...]  # height, width, and channels if any


class Trajectory(NamedTuple):
    """Where an object is, how large and how it lies."""

    centre: np.ndarray  # (T, 2) image pixels
    scale: np.ndarray | float = 1.0  # factor on the object's nominal size; here and below: (T,)
    angle: np.ndarray | float = 0.0  # radians, clockwise on the screen
    stretch: np.ndarray | float = 1.0  # factor on the width, its inverse on the height
    shear: np.ndarray | float = 0.0


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """Draw a value whose logarithm is uniform between the bounds."""
    return float(np.exp(rng.uniform(*np.log((low, high)))))


def smooth_noise(rng: Generator, length: int, axes: int, smooth: float) -> np.ndarray:
    """Return Gaussian noise of unit variance, smooth over about `smooth` frames; (length, axes)."""
    reach = max(int(np.ceil(3 * smooth)), 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(smooth, 1e-6)) ** 2)
    white = rng.standard_normal((length + 2 * reach, axes))
    return _convolve(white, kernel / np.sqrt((kernel**2).sum()))


def random_walk(rng: Generator, length: int, step: float, smooth: float) -> np.ndarray:
    """Return a smooth walk from 0, 0 with `step` pixels per frame (RMS); (length, 2)."""
    velocity = smooth_noise(rng, length, 2, smooth) * step / np.sqrt(2)
    velocity[0] = 0
    return np.cumsum(velocity, 0)


def reflect(positions: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Reflect positions (T, 2) at bounds (2,), turns rounded off; the middle where low >= high."""
    span = np.maximum(high - low, 0)
    period = np.where(span > 0, span, 1)
    phase = np.mod(positions - low, 2 * period)
    inside = np.where(span > 0, low + period - np.abs(phase - period), (low + high) / 2)
    kernel = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    return _convolve(np.pad(inside, ((5, 5), (0, 0)), mode="edge"), kernel / kernel.sum())


def rotation_angles(rng: Generator, length: int, degrees: float) -> np.ndarray:
    """Return angles (length,) in radians: as often a sway to and fro as a free rotation."""
    smooth = rng.uniform(8, 40)
    if rng.random() < 0.5:
        sway = smooth_noise(rng, length, 1, smooth)[:, 0]
        return np.deg2rad(degrees * rng.uniform(0, 3)) * sway
    step = np.deg2rad(degrees) * rng.uniform(0, 1.4)
    return random_walk(rng, length, step, smooth)[:, 0]


def scale_factors(rng: Generator, length: int, change: float) -> np.ndarray:
    """Return factors (length,) around 1, the greatest less than `change` times the smallest."""
    log_range = rng.uniform(0, np.log(change))
    noise = smooth_noise(rng, length, 1, rng.uniform(15, 60))[:, 0]
    return np.exp(log_range / 2 * np.tanh(0.8 * noise))


def object_trajectory(
    rng: Generator, frame: Shape, length: int, size: float, step: float, leaves: bool
) -> Trajectory:
    """Return a rigid trajectory from inside the frame, of `size` pixels and `step` per frame (RMS).

    If it `leaves` it may go out of the frame and come back, otherwise it keeps within the borders.
    """
    extent = np.array(frame[::-1], np.float64)
    border = np.minimum(0.6 * size, extent / 2)
    start = rng.uniform(border, extent - border + 1e-9)
    margin = np.full(2, -size if leaves else size * rng.uniform(0.1, 0.5))
    moves = random_walk(rng, length, step, log_uniform(rng, 3, 40))
    low, high = np.minimum(margin, extent / 2), np.maximum(extent - margin, extent / 2)
    return Trajectory(reflect(start + moves, low, high))


def deform(rng: Generator, trajectory: Trajectory, options: ClipOptions) -> Trajectory:
    """Let a rigid trajectory scale, turn and, in most cases, stretch and shear a little."""
    length = len(trajectory.centre)
    bend = smooth_noise(rng, length, 2, rng.uniform(6, 30)) * rng.uniform(0, 0.12)
    bend *= rng.random() < 0.7
    scale = trajectory.scale * scale_factors(rng, length, options.scale_change)
    angle = rotation_angles(rng, length, options.turn)
    if options.spin and rng.random() < options.spin:
        turns = rng.choice([-1, 1]) * np.arange(length) / log_uniform(rng, 30, 150)
        angle = angle + 2 * np.pi * turns
    return trajectory._replace(
        scale=scale,
        angle=angle,
        stretch=np.exp(bend[:, 0]),
        shear=bend[:, 1],
    )


def bending_grid(rng: Generator, length: int) -> np.ndarray:
    """Return displacements (length, 4, 4, 2) of a grid laid over an object, fractions of its sides.

    It turns out of the plane, as a keystone, and its parts sway on their own.
    """
    across, down = np.meshgrid(*[np.linspace(-1, 1, 4)] * 2)
    smooth = rng.uniform(4, 25)
    tilt = smooth_noise(rng, length, 2, smooth) * rng.uniform(0, 0.12)
    keystone = (across * down)[None, :, :, None] * tilt[:, None, None, :]
    sway = smooth_noise(rng, length, 32, smooth).reshape(length, 4, 4, 2)
    return (keystone + sway * log_uniform(rng, 0.01, 0.09)).astype(np.float32)


def camera_matrices(
    rng: Generator,
    background: Shape,
    frame: Shape,
    zooms: np.ndarray,
    start: np.ndarray,
    reach: np.ndarray,
    step: float,
) -> np.ndarray:
    """Return matrices (T, 2, 3) from background to image for a view that pans, zooms and sways.

    The view stays on the background but for the sway, its centre within `reach` (2,) background
    pixels of `start` (2,). `zooms` (T,), image pixels per background pixel, are raised where the
    view would be larger than the background; `step` is image pixels per frame (RMS).
    """
    extent, view = (np.array(shape[1::-1], np.float64) for shape in (background, frame))
    zooms = np.maximum(zooms, (view / extent).max())
    half = view / 2 / zooms[:, None]  # (T, 2) background pixels
    low, high = half.mean(0), extent - half.mean(0)
    start = np.clip(start, low, np.maximum(high, low))
    smooth = log_uniform(rng, 5, 50)
    moves = random_walk(rng, len(zooms), step / zooms.mean(), smooth)
    centre = reflect(start + moves, np.maximum(low, start - reach), np.minimum(high, start + reach))
    centre = np.clip(centre, half, np.maximum(extent - half, half))
    angle = np.deg2rad(rng.uniform(0, 3)) * smooth_noise(rng, len(zooms), 1, 25)[:, 0]
    angle *= rng.random() < 0.5
    return _matrices(angle, zooms[:, None, None] * np.eye(2), centre - 0.5, (view - 1) / 2)


def object_matrices(trajectory: Trajectory, shape: Shape, nominal: np.ndarray) -> np.ndarray:
    """Return matrices (T, 2, 3) that place an image of `shape` along a trajectory.

    At scale 1 it is `nominal` (width, height) pixels large.
    """
    centre, length, sides = trajectory.centre, len(trajectory.centre), np.array(shape[::-1], float)
    scale, angle, stretch, shear = (np.broadcast_to(value, length) for value in trajectory[1:])
    factors = scale[:, None] * nominal / sides * np.stack([stretch, 1 / stretch], 1)  # (T, 2)
    linear = np.zeros((length, 2, 2))
    linear[:, 0, 0], linear[:, 1, 1] = factors[:, 0], factors[:, 1]
    linear[:, 0, 1] = shear * factors[:, 1]
    return _matrices(angle, linear, (sides - 1) / 2, centre)


def on_background(camera: np.ndarray, point: np.ndarray) -> Trajectory:
    """Return the trajectory of a point (2,) of the background, its scale the camera's zoom."""
    linear = camera[:, :, :2]
    return Trajectory(linear @ point + camera[:, :, 2], np.sqrt(np.abs(np.linalg.det(linear))))


def fixed_to_ground(camera: np.ndarray, point: np.ndarray, t: int) -> Trajectory:
    """Return the trajectory of what stands on the background, at image point (2,) in frame t."""
    ground = np.linalg.solve(camera[t, :, :2], point - camera[t, :, 2])
    centre, zooms = on_background(camera, ground)[:2]
    return Trajectory(centre, zooms / np.ravel(zooms)[t])


def _matrices(
    angle: np.ndarray, linear: np.ndarray, source: np.ndarray, target: np.ndarray
) -> np.ndarray:
    """Join linear maps (T, 2, 2), rotations and the shift of `source` to `target`: (T, 2, 3)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    rotations = np.stack([np.stack([cosine, -sine], 1), np.stack([sine, cosine], 1)], 1)
    linear = rotations @ linear
    shift = target - np.einsum("tij,tj->ti", linear, np.broadcast_to(source, (len(linear), 2)))
    return np.concatenate([linear, shift[:, :, None]], 2)


def _convolve(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve columns (T + len(kernel) - 1, N) with a kernel: (T, N)."""
    return np.stack([np.convolve(column, kernel, "valid") for column in values.T], 1)
