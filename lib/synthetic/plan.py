"""Plan a clip: choose background and objects, move them, draw the camera's effects.

Sizes are sqrt(box area) in pixels, steps pixels per frame (RMS).
"""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from lib.synthetic import motion
from lib.synthetic.clip_options import MIN_SIZE, ClipOptions
from lib.synthetic.effects import CameraEffects
from lib.synthetic.layers import MIN_SIDE, downscale, lower_contrast, make_layer, make_shadow
from lib.synthetic.render import ClipPlan, Layer, measure_target
from lib.synthetic.textures import Cutout, Textures

VERSION = 2  # raise it when the same seeds and photographs give other clips
MAX_PLANS = 50  # made before giving up on a good first frame
MIN_START_COVER = 0.7  # of the target in the first frame
PAN = (0.0005, 0.012)  # camera's step over the frame's width, log-uniform
VIEW_MARGIN = 1.02  # how much larger than a frame's view a background is, at least
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
        target = lower_contrast(rng, target, background)
    leaves = rng.random() < options.leave
    trajectory = motion.object_trajectory(rng, shape, length, size, step, leaves)
    trajectory = motion.deform(rng, trajectory, options)
    layer = make_layer(rng, target, size, trajectory, options, background)
    shadow = None
    if options.shadow and rng.random() < options.shadow:
        shadow = make_shadow(rng, layer)
    return Scene(background, camera, layer, trajectory.centre, size, tuple(similar), shadow)


def _region_scene(
    rng: Generator, textures: Textures, options: ClipOptions, size: float, step: float
) -> Scene:
    """Let the camera pan and zoom over an image, one region of which is the target."""
    # The target is a region of the background.
    shape = (options.height, options.width)
    region = textures.region(rng)
    background, factor, min_zoom = _fit_background(region.image, shape)
    alpha = downscale(region.alpha, factor)
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
        layers.append(make_layer(rng, cutout, size, path, options))
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
            layers.append(make_layer(rng, cutout, size, trajectory, options))
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


def _fit_background(image: np.ndarray, frame: motion.Shape) -> tuple[np.ndarray, float, float]:
    """Shrink a background much finer than frames; return it, the factor, the smallest zoom."""
    factor = min(1.0, 2.5 * (VIEW_MARGIN * np.divide(frame, image.shape[:2]).max()))
    background = downscale(image, factor)
    return background, factor, VIEW_MARGIN * np.divide(frame, background.shape[:2]).max()
