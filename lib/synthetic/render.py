"""Draw the frames of a planned clip and measure its target.

A `ClipPlan` holds pictures and, for each frame, where they go; frames can be drawn in any order,
any few of them. Drawing and measuring place a layer's mask by the same call. Plans are made by
`lib/synthetic/compose.py`.

T frames of H x W pixels; a matrix (2, 3) maps pixel centres of a picture to those of the frame.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from lib.synthetic.textures import Cutout

BLUR_FROM = 1.5  # pixels a picture moves during the exposure before blur is drawn
SOLID = 128  # alpha from here on is object: at least one half


class Area(NamedTuple):
    """A rectangle of the frame, in whole pixels, possibly beyond its borders."""

    left: int
    top: int
    right: int  # first column that is not part of it
    bottom: int

    def clipped(self, height: int, width: int) -> "Area":
        """Return the part inside a frame (of size 0 where there is none)."""
        left, top = min(max(self.left, 0), width), min(max(self.top, 0), height)
        return Area(
            left, top, max(min(self.right, width), left), max(min(self.bottom, height), top)
        )

    @property
    def empty(self) -> bool:
        """True if it holds no pixel."""
        return self.right <= self.left or self.bottom <= self.top

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, for an area inside the frame."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


class TargetState(NamedTuple):
    """What the annotation of one frame is made of."""

    box_xywh: (
        np.ndarray
    )  # (4,) float64 pixels: extent of the mask's part in the image; zeros if none is inside
    inside: float  # share of the mask's pixels that are in the image, [0, 1]
    cover: float  # share that is in the image and not occluded, [0, 1]


@dataclass(frozen=True)
class Layer:
    """A picture and its way through the clip."""

    patch: np.ndarray  # (h, w, 4) uint8 RGBA, colours already multiplied by alpha
    matrices: np.ndarray  # (T, 2, 3) float64

    @classmethod
    def of(cls, cutout: Cutout, matrices: np.ndarray) -> "Layer":
        """Make a layer of a cut-out object."""
        alpha = cutout.alpha[..., None]
        rgb = (cutout.rgb.astype(np.uint16) * alpha + 127) // 255
        return cls(np.ascontiguousarray(np.concatenate([rgb.astype(np.uint8), alpha], 2)), matrices)

    def area(self, t: int) -> Area:
        """Return the whole area that the picture touches in frame t."""
        height, width = self.patch.shape[:2]
        corners = np.array(
            [[-1, -1, 1], [width, -1, 1], [-1, height, 1], [width, height, 1]], np.float64
        )
        points = corners @ self.matrices[t].T
        left, top = np.floor(points.min(0)).astype(int)
        right, bottom = np.ceil(points.max(0)).astype(int) + 1
        return Area(int(left), int(top), int(right), int(bottom))

    def step(self, t: int) -> np.ndarray:
        """Return how far its middle moves from the frame before, (2,) pixels; 0 in the first."""
        middle = np.array([(self.patch.shape[1] - 1) / 2, (self.patch.shape[0] - 1) / 2, 1])
        return (self.matrices[t] - self.matrices[max(t - 1, 0)]) @ middle

    def warped(self, t: int, area: Area, channels: slice = slice(0, 4)) -> np.ndarray:
        """Return what falls on `area` in frame t, (h, w, channels) uint8, 0 beside it."""
        matrix = self.matrices[t] - [[0, 0, area.left], [0, 0, area.top]]
        size = (area.right - area.left, area.bottom - area.top)
        return cv2.warpAffine(np.ascontiguousarray(self.patch[..., channels]), matrix, size)

    def mask(self, t: int, area: Area) -> np.ndarray:
        """Return the sharp alpha on `area` in frame t, (h, w) uint8."""
        return self.warped(t, area, slice(3, 4))


@dataclass(frozen=True)
class CameraEffects:
    """What the camera and the light do to the finished picture."""

    gain: np.ndarray  # (T, 3) factor per frame and RGB channel
    gamma: float = 1.0
    exposure: float = (
        0.0  # share of the frame interval during which the shutter is open: motion blur
    )
    defocus: float = 0.0  # sigma of the blur of the whole frame, pixels
    grey: bool = False
    noise: np.ndarray = field(
        default_factory=lambda: np.zeros((0, 0, 3), np.int16)
    )  # larger than a frame, or empty
    noise_at: np.ndarray = field(
        default_factory=lambda: np.zeros((0, 2), np.int64)
    )  # (T, 2) row and column in it


@dataclass(frozen=True)
class ClipPlan:
    """A clip before its frames are drawn."""

    height: int
    width: int
    canvas: np.ndarray  # (Hc, Wc, 3) uint8 RGB
    camera: np.ndarray  # (T, 2, 3) canvas to image
    target: Layer
    draw_target: bool  # False where the target is a region of the canvas
    behind: tuple[Layer, ...]
    front: tuple[Layer, ...]
    look: CameraEffects
    least_cover: float = 0.1  # the target counts as visible from this cover on

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.camera)


def measure_target(plan: ClipPlan, t: int) -> TargetState:
    """Measure box and cover of the target in frame t, from its mask (alpha >= 1/2) as it is drawn.

    The box is the extent of the part inside the image, occluded or not, as annotators draw it:
    x and y are the first column and row, w = last - first + 1.
    """
    whole = plan.target.area(t)
    area = whole.clipped(plan.height, plan.width)
    total = np.count_nonzero(plan.target.mask(t, whole) >= SOLID)
    if area.empty or total == 0:
        return TargetState(np.zeros(4), 0.0, 0.0)
    solid = plan.target.mask(t, area) >= SOLID
    inside = np.count_nonzero(solid)
    if inside == 0:
        return TargetState(np.zeros(4), 0.0, 0.0)
    columns, rows = np.flatnonzero(solid.any(0)), np.flatnonzero(solid.any(1))
    box = [area.left + columns[0], area.top + rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]
    for layer in plan.front:
        if not _apart(layer.area(t), area):
            solid &= layer.mask(t, area) < SOLID
    visible = np.count_nonzero(solid)
    return TargetState(
        np.array(box, np.float64), min(inside / total, 1.0), min(visible / total, 1.0)
    )


def draw_frame(plan: ClipPlan, t: int) -> np.ndarray:
    """Draw frame t, (H, W, 3) uint8 RGB."""
    size = (plan.width, plan.height)
    image = cv2.warpAffine(plan.canvas, plan.camera[t], size, borderMode=cv2.BORDER_REFLECT_101)
    image = _motion_blurred(image, _camera_step(plan, t) * plan.look.exposure)
    own = (plan.target,) if plan.draw_target else ()
    for layer in (*plan.behind, *own, *plan.front):
        _paste(image, layer, t, plan.look.exposure)
    return _finished(image, plan.look, t)


def _apart(a: Area, b: Area) -> bool:
    """True if two areas share no pixel."""
    return a.right <= b.left or b.right <= a.left or a.bottom <= b.top or b.bottom <= a.top


def _camera_step(plan: ClipPlan, t: int) -> np.ndarray:
    """Return how far the ground in mid-image moves from the frame before, (2,) pixels."""
    matrix = plan.camera[t]
    middle = np.array([plan.width / 2, plan.height / 2])
    point = np.linalg.solve(matrix[:, :2], middle - matrix[:, 2])
    before = plan.camera[max(t - 1, 0)]
    return middle - (before[:, :2] @ point + before[:, 2])


def _paste(image: np.ndarray, layer: Layer, t: int, exposure: float) -> None:
    """Draw one layer over the image, in place."""
    step = layer.step(t) * exposure
    spread = int(np.ceil(np.abs(step).max() / 2)) + 1 if np.hypot(*step) >= BLUR_FROM else 0
    area = layer.area(t)
    wide = Area(area.left - spread, area.top - spread, area.right + spread, area.bottom + spread)
    area = wide.clipped(*image.shape[:2])
    if area.empty:
        return
    rgba = _motion_blurred(layer.warped(t, area), step)
    under = image[area.slices]
    alpha = cv2.cvtColor(255 - rgba[..., 3], cv2.COLOR_GRAY2RGB)
    cv2.multiply(under, alpha, dst=under, scale=1 / 255)
    cv2.add(under, np.ascontiguousarray(rgba[..., :3]), dst=under)


def _motion_blurred(image: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Smear an image along `step` (x, y pixels), centred: the middle stays where it is."""
    length = float(np.hypot(*step))
    if length < BLUR_FROM:
        return image
    side = 2 * int(np.ceil(length / 2)) + 1
    kernel = np.zeros((side, side), np.float32)
    half = np.asarray(step) / 2 * 16
    middle = np.array([side // 2, side // 2]) * 16
    ends = [tuple(int(v) for v in np.round(middle + sign * half)) for sign in (-1, 1)]
    cv2.line(kernel, *ends, 1.0, 1, cv2.LINE_8, 4)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def _finished(image: np.ndarray, look: CameraEffects, t: int) -> np.ndarray:
    """Apply defocus, light, sensor noise and grey to a drawn frame."""
    if look.defocus > 0:
        image = cv2.GaussianBlur(image, (0, 0), look.defocus)
    if look.gamma != 1 or not np.all(look.gain[t] == 1):
        levels = (np.arange(256) / 255) ** look.gamma * 255
        table = np.clip(levels[:, None] * look.gain[t] + 0.5, 0, 255).astype(np.uint8)
        image = cv2.LUT(image, table[None])
    if look.noise.size:
        row, column = look.noise_at[t]
        noise = look.noise[row : row + image.shape[0], column : column + image.shape[1]]
        image = cv2.add(image, noise, dtype=cv2.CV_8U)
    if look.grey:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return image
