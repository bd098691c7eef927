"""Plan a clip: choose background and objects, move them, draw the camera's effects.

Sizes are sqrt(box area) in pixels, steps pixels per frame (RMS).
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator

from lib.synthetic import motion
from lib.synthetic.clip_options import MIN_SIZE, ClipOptions
from lib.synthetic.effects import CameraEffects
from lib.synthetic.render import SOLID, ClipPlan, Layer, measure_target, premultiplied
from lib.synthetic.textures import Cutout, Textures

VERSION = 2  # raise it when the same seeds and photographs give other clips
MAX_PLANS = 50  # made before giving up on a good first frame
MIN_START_COVER = 0.7  # of the target in the first frame
MIN_SIDE = 3.0  # pixels: no side of an object's box is planned smaller
PAN = (0.0005, 0.012)  # camera's step over the frame's width, log-uniform
VIEW_MARGIN = 1.02  # how much larger than a frame's view a background is, at least
BEND_MARGIN = 0.2  # of an object's sides, into which it may bend
MAX_ZOOM = 3.0  # times the zoom that shows the whole background


class Scene(NamedTuple):
    """Background, camera and target of a clip, before the camera shakes."""

    background: np.ndarray  # (Hb, Wb, 3) uint8 RGB
    camera: np.ndarray  # (T, 2, 3) background to image
    target: Layer
    centre: np.ndarray  # (T, 2) of the target, image pixels
    size: float  # of the target, pixels
    similar: tuple[Cutout, ...] = ()  # objects that look like the target
    shadow: Layer | None = None  # of the target

    def distance(self, trajectory: motion.Trajectory) -> float:
        """Return how far from the target something is in the first frame, pixels."""
        return float(np.hypot(*(trajectory.centre[0] - self.centre[0])))


def plan_clip(rng: Generator, textures: Textures, options: ClipOptions) -> ClipPlan:
    """Draw everything random of one clip, whose target is visible in the first frame.

    RuntimeError: none of MAX_PLANS plans has a visible target in its first frame.
    """
    for _ in range(MAX_PLANS):
        plan = plan_scene(rng, textures, options)
        box_xywh, cover = measure_target(plan, 0)
        if cover >= MIN_START_COVER and box_xywh[2:].min() >= MIN_SIDE:
            return plan
    failure = "no clip with a visible target in its first frame"
    raise RuntimeError(f"{failure} in {MAX_PLANS} tries with {options}")


def plan_scene(rng: Generator, textures: Textures, options: ClipOptions) -> ClipPlan:
    """Plan a clip whose first frame is yet to be checked."""
    # Background, camera and target.
    size = motion.log_uniform(rng, *options.object_size) * np.sqrt(options.height * options.width)
    step = motion.log_uniform(rng, *options.speed) * size
    on_region = rng.random() < options.region
    make_scene = _region_scene if on_region else _object_scene
    scene = make_scene(rng, textures, options, size, step)
    # What is behind and in front of the target.
    distractors = _distractors(rng, options, scene, step)
    count = int(rng.integers(*options.occluders, endpoint=True))
    occluders = _occluders(rng, textures, options, scene, count)
    # A hand-held camera moves everything by a few pixels.
    noise = motion.smooth_noise(rng, options.length, 2, rng.uniform(1, 3))  # (T, 2)
    shake = noise * options.width * rng.uniform(0.002, 0.02) * (rng.random() < options.shake)
    distractors += [scene.shadow] if scene.shadow else []
    for layer in (scene.target, *distractors, *occluders):
        layer.matrices[:, :, 2] += shake
    scene.camera[:, :, 2] += shake
    return ClipPlan(
        height=options.height,
        width=options.width,
        background=scene.background,
        camera=scene.camera,
        target=scene.target,
        draw_target=not on_region,
        distractors=tuple(distractors),
        occluders=tuple(occluders),
        effects=CameraEffects.random(rng, options),
        min_cover=options.min_cover,
    )


def _object_scene(
    rng: Generator, textures: Textures, options: ClipOptions, size: float, step: float
) -> Scene:
    """Move a cut-out target over an unrelated background."""
    # The background, and the camera that pans over it.
    shape, length = (options.height, options.width), options.length
    background, _, min_zoom = _fit_background(textures.background(rng), shape)
    extent = np.array(background.shape[1::-1])
    zooms = min_zoom * rng.uniform(1, 1.8) * motion.scale_factors(rng, length, 1.3)
    pan = options.width * motion.log_uniform(rng, *PAN) * (rng.random() < 0.75)
    start = rng.uniform(0, extent)
    camera = motion.camera_matrices(rng, background.shape, shape, zooms, start, extent, pan)
    # The target and objects that look like it.
    count = int(rng.integers(*options.distractors, endpoint=True))
    target, *similar = textures.cutouts(rng, 1 + count)
    if rng.random() < options.faint:
        target = _low_contrast(rng, target, background)
    leaves = rng.random() < options.leave
    trajectory = motion.object_trajectory(rng, shape, length, size, step, leaves)
    trajectory = motion.deform(rng, trajectory, options)
    layer = _make_layer(rng, target, size, trajectory, options, background)
    shadow = None
    if options.shadow and rng.random() < options.shadow:
        shadow = _shadow(rng, layer)
    return Scene(background, camera, layer, trajectory.centre, size, tuple(similar), shadow)


def _region_scene(
    rng: Generator, textures: Textures, options: ClipOptions, size: float, step: float
) -> Scene:
    """Let the camera pan and zoom over an image, one region of which is the target."""
    # The target is a region of the background.
    shape = (options.height, options.width)
    region = textures.region(rng)
    background, factor, min_zoom = _fit_background(region.image, shape)
    alpha = _downscale(region.alpha, factor)
    corner = np.array(region.corner) * factor
    middle = corner + np.array(alpha.shape[::-1]) / 2
    # The camera keeps near the target.
    zoom = np.clip(size / np.sqrt(alpha.size), min_zoom, MAX_ZOOM * min_zoom)
    zooms = zoom * motion.scale_factors(rng, options.length, options.scale_change)
    view = np.array(shape[::-1])
    start = middle + rng.uniform(-0.3, 0.3, 2) * view / zoom
    reach = view / zoom * (1.0 if rng.random() < options.leave else 0.25)
    camera = motion.camera_matrices(rng, background.shape, shape, zooms, start, reach, step)
    # Its layer is measured and never drawn.
    onto = np.array([[1, 0, corner[0]], [0, 1, corner[1]], [0, 0, 1]])
    target = Layer(np.dstack([np.zeros((*alpha.shape, 3), np.uint8), alpha]), camera @ onto)
    centre, zooms = motion.on_background(camera, middle)[:2]
    return Scene(background, camera, target, centre, float(np.sqrt(alpha.size) * np.mean(zooms)))


def _distractors(rng: Generator, options: ClipOptions, scene: Scene, step: float) -> list[Layer]:
    """Move similar objects on trajectories of their own, or let them stand on the ground.

    Those that would start on the target are left out: nobody could tell which of the two is meant.
    """
    layers, frame = [], (options.height, options.width)
    for cutout in scene.similar:
        size = max(scene.size * rng.uniform(0.7, 1.3), MIN_SIZE)
        path = motion.object_trajectory(rng, frame, options.length, size, step, leaves=True)
        if scene.distance(path) < 0.6 * (size + scene.size):
            continue
        if rng.random() < 0.4:
            path = motion.fixed_to_ground(scene.camera, path.centre[0], 0)
        else:
            path = motion.deform(rng, path, options)
        layers.append(_make_layer(rng, cutout, size, path, options))
    return layers


def _occluders(
    rng: Generator, textures: Textures, options: ClipOptions, scene: Scene, count: int
) -> list[Layer]:
    """Let objects meet the target once, well after the start, and hide it or a part of it."""
    layers = []
    for cutout in textures.cutouts(rng, count) if count else []:
        if scene.similar and rng.random() < 0.3:
            cutout = scene.similar[0]
        size = max(scene.size * rng.uniform(0.4, 1.4), MIN_SIZE)
        if (trajectory := _crossing(rng, scene, size)) is not None:
            layers.append(_make_layer(rng, cutout, size, trajectory, options))
    return layers


def _crossing(rng: Generator, scene: Scene, size: float) -> motion.Trajectory | None:
    """Return a standing or straight trajectory that meets the target after the first frame.

    None where that cannot be: the target stands still, or the meeting comes too early.
    """
    min_distance, length = 0.8 * (size + scene.size), len(scene.centre)
    meeting = int(rng.integers(length // 5, length))
    place = scene.centre[meeting] + rng.normal(0, 0.25 * scene.size, 2)
    standing = motion.fixed_to_ground(scene.camera, place, meeting)
    if scene.distance(standing) > min_distance and rng.random() < 0.5:
        return standing
    direction = rng.uniform(0, 2 * np.pi)
    speed = min_distance / rng.uniform(5, 40)
    for _ in range(8):
        velocity = speed * np.array([np.cos(direction), np.sin(direction)])
        straight = motion.Trajectory(place + (np.arange(length) - meeting)[:, None] * velocity)
        if scene.distance(straight) > min_distance:
            return straight
        speed *= 1.5
    return None


def _make_layer(
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
    resized = Cutout(_downscale(cutout.rgb, factor), _downscale(cutout.alpha, factor))
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


def _shadow(rng: Generator, layer: Layer) -> Layer:
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


def _low_contrast(rng: Generator, cutout: Cutout, background: np.ndarray) -> Cutout:
    """Bring an object's colours close to the mean colour of the background."""
    inside = cutout.alpha >= SOLID
    mean = cutout.rgb[inside].mean(0) if inside.any() else cutout.rgb.mean((0, 1))
    shift = rng.standard_normal(3)
    shift *= rng.uniform(20, 45) / np.linalg.norm(shift)
    towards = np.array(cv2.mean(background)[:3]) + shift
    rgb = (cutout.rgb - mean) * rng.uniform(0.35, 0.8) + towards
    return cutout._replace(rgb=np.clip(rgb, 0, 255).astype(np.uint8))


def _fit_background(image: np.ndarray, frame: motion.Shape) -> tuple[np.ndarray, float, float]:
    """Shrink a background much finer than frames; return it, the factor, the smallest zoom."""
    factor = min(1.0, 2.5 * (VIEW_MARGIN * np.divide(frame, image.shape[:2]).max()))
    background = _downscale(image, factor)
    return background, factor, VIEW_MARGIN * np.divide(frame, background.shape[:2]).max()


def _downscale(image: np.ndarray, factor: float) -> np.ndarray:
    if factor >= 1:
        return image
    size = [max(round(side * factor), 1) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
