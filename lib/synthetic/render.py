"""Draw the frames of a planned clip and measure its target.

T frames of H x W pixels; a matrix (2, 3) maps pixel centres of a layer to those of the frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from lib.synthetic.effects import MIN_BLUR, CameraEffects, motion_blur
from lib.synthetic.textures import Cutout

SOLID = 128  # alpha from here on is object: at least one half


class Area(NamedTuple):
    """A rectangle in whole pixels of the frame, possibly beyond its borders."""

    left: int
    top: int
    right: int  # first column that is not part of it
    bottom: int

    def intersect(self, other: "Area") -> "Area | None":
        """Return what both have in common, None where that is nothing."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Area(left, top, right, bottom) if left < right and top < bottom else None


class Annotation(NamedTuple):
    """The truth of T frames, in the order asked for.

    A box is the extent of the target inside the image, occluded or not (as in GOT-10k and LaSOT);
    0, 0, 0, 0 where the target has left the image.
    """

    boxes_xywh: np.ndarray  # (T, 4) float64 pixels, whole numbers
    visible: np.ndarray  # (T,) bool: cover is at least ClipOptions.min_cover
    cover: np.ndarray  # (T,) float64: share of the target in the image and not occluded, [0, 1]


class Clip(NamedTuple):
    """Frames and their `Annotation`."""

    frames: np.ndarray  # (T, H, W, 3) uint8 RGB
    boxes_xywh: np.ndarray
    visible: np.ndarray
    cover: np.ndarray


@dataclass(frozen=True)
class Layer:
    """An image and where it lies in each frame of the clip."""

    patch: np.ndarray  # (h, w, 4) uint8 RGBA, colours already multiplied by alpha
    matrices: np.ndarray  # (T, 2, 3) float64
    grid: np.ndarray | None = None  # (T, rows, columns, 2) float32: `motion.bending_grid`
    repaint: tuple[np.ndarray, np.ndarray] | None = None  # another such patch, its share (T,)

    def look(self, t: int) -> np.ndarray:
        """Return the image as it is in frame t, (h, w, 4) uint8 RGBA."""
        patch = self.patch
        if self.repaint is not None:
            share = float(self.repaint[1][t])
            patch = cv2.addWeighted(patch, 1 - share, self.repaint[0], share, 0)
        return patch if self.grid is None else bend(patch, self.grid[t])

    def area(self, t: int) -> Area:
        """Return the whole area that the image touches in frame t."""
        height, width = self.patch.shape[:2]
        corners = np.array([[x, y, 1] for y in (-1, height) for x in (-1, width)], np.float64)
        points = corners @ self.matrices[t].T
        left, top = np.floor(points.min(0)).astype(int)
        right, bottom = np.ceil(points.max(0)).astype(int) + 1
        return Area(int(left), int(top), int(right), int(bottom))

    def step(self, t: int) -> np.ndarray:
        """Return how far its middle moves from the frame before, (2,) pixels; 0 in the first."""
        middle = np.array([(self.patch.shape[1] - 1) / 2, (self.patch.shape[0] - 1) / 2, 1])
        return (self.matrices[t] - self.matrices[max(t - 1, 0)]) @ middle

    def warped(self, t: int, area: Area) -> np.ndarray:
        """Return what falls on `area` in frame t, (h, w, 4) uint8 RGBA, 0 beside it."""
        return self._place(self.look(t), t, area)

    def solid(self, t: int, area: Area) -> np.ndarray:
        """Return the object's mask on `area` in frame t, (h, w) bool: alpha is at least 1/2."""
        alpha = np.ascontiguousarray(self.patch[..., 3])
        if self.grid is not None:
            alpha = bend(alpha, self.grid[t])
        return self._place(alpha, t, area) >= SOLID

    def _place(self, image: np.ndarray, t: int, area: Area) -> np.ndarray:
        matrix = self.matrices[t] - [[0, 0, area.left], [0, 0, area.top]]
        return cv2.warpAffine(image, matrix, (area.right - area.left, area.bottom - area.top))


def premultiplied(cutout: Cutout) -> np.ndarray:
    """A cut-out as a layer's patch, (h, w, 4) uint8."""
    alpha = cutout.alpha[..., None]
    rgb = (cutout.rgb.astype(np.uint16) * alpha + 127) // 255
    return np.ascontiguousarray(np.concatenate([rgb.astype(np.uint8), alpha], 2))


def bend(image: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Displace an image (h, w, ...) by a grid (rows, columns, 2), in fractions of its sides."""
    height, width = image.shape[:2]
    moved = cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
    across = moved[..., 0] * width + np.arange(width, dtype=np.float32)
    down = moved[..., 1] * height + np.arange(height, dtype=np.float32)[:, None]
    return cv2.remap(image, across, down, cv2.INTER_LINEAR)


@dataclass(frozen=True)
class ClipPlan:
    """A clip before its frames are drawn."""

    height: int
    width: int
    background: np.ndarray  # (Hb, Wb, 3) uint8 RGB
    camera: np.ndarray  # (T, 2, 3) background to image
    target: Layer
    draw_target: bool  # False where the target is a region of the background
    distractors: tuple[Layer, ...]  # behind the target
    occluders: tuple[Layer, ...]  # in front of it
    effects: CameraEffects
    min_cover: float = 0.1  # the target counts as visible from this cover on

    def __len__(self) -> int:
        return len(self.camera)


def render(plan: ClipPlan, indices: Sequence[int] | None = None) -> Clip:
    """Draw the frames at `indices` (default: all), in that order, and measure the target."""
    indices = range(len(plan)) if indices is None else indices
    frames = np.empty((len(indices), plan.height, plan.width, 3), np.uint8)
    for row, t in enumerate(indices):
        frames[row] = draw_frame(plan, t)
    return Clip(frames, *annotate(plan, indices))


def annotate(plan: ClipPlan, indices: Sequence[int] | None = None) -> Annotation:
    """Measure the target in the frames at `indices` (default: all) without drawing them."""
    states = [measure_target(plan, t) for t in (range(len(plan)) if indices is None else indices)]
    boxes_xywh = np.array([box for box, _ in states], np.float64).reshape(-1, 4)
    cover = np.array([cover for _, cover in states], np.float64)
    return Annotation(boxes_xywh, cover >= plan.min_cover, cover)


def measure_target(plan: ClipPlan, t: int) -> tuple[np.ndarray, float]:
    """Measure the target in frame t, from its mask (alpha >= 1/2) as it is drawn.

    Returns its box (4,) float64 xywh in pixels, x and y the first column and row, zeros where less
    than `plan.min_cover` of the target is inside the image, and its cover in [0, 1].
    """
    whole = plan.target.area(t)
    area = whole.intersect(Area(0, 0, plan.width, plan.height))
    everywhere = plan.target.solid(t, whole)
    total = np.count_nonzero(everywhere)
    if area is None or total == 0:
        return np.zeros(4), 0.0
    rows = slice(area.top - whole.top, area.bottom - whole.top)
    columns = slice(area.left - whole.left, area.right - whole.left)
    solid, box_xywh = everywhere[rows, columns], np.zeros(4)
    if np.count_nonzero(solid) / total >= plan.min_cover:
        across, down = np.flatnonzero(solid.any(0)), np.flatnonzero(solid.any(1))
        box_xywh[:2] = area.left + across[0], area.top + down[0]
        box_xywh[2:] = np.ptp(across) + 1, np.ptp(down) + 1
    for layer in plan.occluders:
        if layer.area(t).intersect(area):
            solid &= ~layer.solid(t, area)
    return box_xywh, min(np.count_nonzero(solid) / total, 1.0)


def draw_frame(plan: ClipPlan, t: int) -> np.ndarray:
    """Draw frame t, (H, W, 3) uint8 RGB."""
    size, exposure = (plan.width, plan.height), plan.effects.exposure
    image = cv2.warpAffine(plan.background, plan.camera[t], size, borderMode=cv2.BORDER_REFLECT_101)
    image = motion_blur(image, _camera_step(plan, t) * exposure)
    target = (plan.target,) if plan.draw_target else ()
    for layer in (*plan.distractors, *target, *plan.occluders):
        _paste(image, layer, t, exposure)
    return plan.effects.apply(image, t)


def _camera_step(plan: ClipPlan, t: int) -> np.ndarray:
    """Return how far the ground in mid-image moves from the frame before, (2,) pixels."""
    matrix = plan.camera[t]
    middle = np.array([plan.width / 2, plan.height / 2])
    point = np.linalg.solve(matrix[:, :2], middle - matrix[:, 2])
    before = plan.camera[max(t - 1, 0)]
    return middle - (before[:, :2] @ point + before[:, 2])


def _paste(image: np.ndarray, layer: Layer, t: int, exposure: float) -> None:
    step = layer.step(t) * exposure
    spread = int(np.ceil(np.abs(step).max() / 2)) + 1 if np.hypot(*step) >= MIN_BLUR else 0
    area = layer.area(t)
    area = Area(area.left - spread, area.top - spread, area.right + spread, area.bottom + spread)
    visible = area.intersect(Area(0, 0, image.shape[1], image.shape[0]))
    if visible is None:
        return
    rgba = motion_blur(layer.warped(t, visible), step)
    under = image[visible.top : visible.bottom, visible.left : visible.right]
    alpha = cv2.cvtColor(255 - rgba[..., 3], cv2.COLOR_GRAY2RGB)
    cv2.multiply(under, alpha, dst=under, scale=1 / 255)
    cv2.add(under, np.ascontiguousarray(rgba[..., :3]), dst=under)
