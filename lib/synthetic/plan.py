"""Plan a clip: choose its pictures, send them on their ways, light them.

The inside of `compose.py`: from options, pictures (`textures.py`) and paths (`motion.py`)
to a `ClipPlan` (`render.py`). Sizes are sqrt(box area) in pixels, steps pixels a frame (RMS).
"""

from typing import NamedTuple

import cv2
import numpy as np

from lib.synthetic import motion
from lib.synthetic.clip_options import SHORTEST, ClipOptions
from lib.synthetic.render import SOLID, CameraEffects, ClipPlan, Layer
from lib.synthetic.textures import Cutout, Textures

Generator = np.random.Generator

SHORTEST_SIDE = 3.0  # pixels: no side of an object's box is planned smaller
PAN = (0.0005, 0.012)  # camera's step over the frame's width, log-uniform
MOST_ZOOM = 3.0  # times the zoom that shows the whole canvas
NOISE_ROOM = (
    32  # pixels by which the noise is larger than a frame, to be shifted from frame to frame
)


def plan_scene(generator: Generator, textures: Textures, options: ClipOptions) -> ClipPlan:
    """Plan a clip whose first frame is yet to be checked."""
    size = _log_uniform(generator, options.object_size) * np.sqrt(options.height * options.width)
    step = _log_uniform(generator, options.speed) * size
    on_region = generator.random() < options.region
    stage = (_region_stage if on_region else _object_stage)(
        generator, textures, options, size, step
    )
    front = _occluders(generator, textures, options, stage)
    shake = _shake(generator, options)
    return ClipPlan(
        height=options.height,
        width=options.width,
        canvas=stage.canvas,
        camera=_shifted(stage.camera, shake),
        target=_shaken(stage.target, shake),
        draw_target=not on_region,
        behind=tuple(_shaken(layer, shake) for layer in stage.behind),
        front=tuple(_shaken(layer, shake) for layer in front),
        look=_look(generator, options),
        least_cover=options.least_cover,
    )


class Scene(NamedTuple):
    """A clip without what comes in front of the target, shake and light."""

    canvas: np.ndarray  # (Hc, Wc, 3) uint8
    camera: np.ndarray  # (T, 2, 3)
    target: Layer
    centre: np.ndarray  # (T, 2) of the target, image pixels
    size: float  # of the target, pixels
    behind: list[Layer]
    similar: list[Cutout]


def _object_stage(
    generator: Generator, textures: Textures, options: ClipOptions, size: float, step: float
) -> Scene:
    """Set a cut-out target over an unrelated background, its look-alikes behind it."""
    frame = (options.height, options.width)
    canvas = textures.canvas(generator)
    canvas = _shrunk(canvas, _shrink_factor(canvas, frame))
    extent = np.array([canvas.shape[1], canvas.shape[0]])
    zooms = (
        _fit(canvas, frame)
        * generator.uniform(1, 1.8)
        * motion.scaling(generator, options.length, 1.3)
    )
    pan = options.width * _log_uniform(generator, PAN) * (generator.random() < 0.75)
    camera = motion.camera_path(
        generator, canvas.shape[:2], frame, zooms, generator.uniform(0, extent), extent, pan
    )
    count = int(generator.integers(options.distractors[0], options.distractors[1] + 1))
    target, *similar = textures.cutouts(generator, 1 + count)
    if generator.random() < options.faint:
        target = _fainter(generator, target, canvas)
    leaves = generator.random() < options.leave
    path = motion.object_path(generator, frame, options.length, size, step, leaves)
    path = motion.bent(generator, path, options.scale_change, options.turn)
    stage = Scene(canvas, camera, _layer(target, size, path), path.centre, size, [], similar)
    found = [_distractor(generator, cutout, options, stage, step) for cutout in similar]
    return stage._replace(behind=[layer for layer in found if layer is not None])


def _region_stage(
    generator: Generator, textures: Textures, options: ClipOptions, size: float, step: float
) -> Scene:
    """Let the camera pan and zoom over a picture, one region of which is the target."""
    frame = (options.height, options.width)
    region = textures.region(generator)
    factor = _shrink_factor(region.canvas, frame)
    canvas, alpha = _shrunk(region.canvas, factor), _shrunk(region.alpha, factor)
    corner = np.array(region.corner) * factor
    middle = corner + np.array([alpha.shape[1], alpha.shape[0]]) / 2
    fit = _fit(canvas, frame)
    zoom = np.clip(size / np.sqrt(alpha.size), fit, MOST_ZOOM * fit)
    zooms = zoom * motion.scaling(generator, options.length, options.scale_change)
    view = np.array([options.width, options.height])
    start = middle + generator.uniform(-0.3, 0.3, 2) * view / zoom
    leaves = generator.random() < options.leave
    reach = view / zoom * (1.0 if leaves else 0.25)
    camera = motion.camera_path(generator, canvas.shape[:2], frame, zooms, start, reach, step)
    onto = np.array([[1, 0, corner[0]], [0, 1, corner[1]], [0, 0, 1]])
    target = Layer(np.dstack([np.zeros((*alpha.shape, 3), np.uint8), alpha]), camera @ onto)
    size = float(np.sqrt(alpha.size) * motion.zoom_of(camera).mean())
    return Scene(canvas, camera, target, motion.through(camera, middle), size, [], [])


def _distractor(
    generator: Generator, cutout: Cutout, options: ClipOptions, stage: Scene, step: float
) -> Layer | None:
    """Set a look-alike on a path of its own, or let it stand on the ground.

    None where it would start on the target: which of the two is meant could not be told.
    """
    size = max(stage.size * generator.uniform(0.7, 1.3), SHORTEST)
    frame = (options.height, options.width)
    path = motion.object_path(generator, frame, options.length, size, step, True)
    if np.hypot(*(path.centre[0] - stage.centre[0])) < 0.6 * (size + stage.size):
        return None
    if generator.random() < 0.4:
        return _layer(cutout, size, _standing(stage.camera, path.centre[0], 0))
    return _layer(cutout, size, motion.bent(generator, path, options.scale_change, options.turn))


def _occluders(
    generator: Generator, textures: Textures, options: ClipOptions, stage: Scene
) -> list[Layer]:
    """Set objects that meet the target once, well after the start, and hide a part of it or all."""
    count = int(generator.integers(options.occluders[0], options.occluders[1] + 1))
    layers = []
    for cutout in textures.cutouts(generator, count) if count else []:
        if stage.similar and generator.random() < 0.3:
            cutout = stage.similar[0]
        size = max(stage.size * generator.uniform(0.4, 1.4), SHORTEST)
        meets = int(generator.integers(options.length // 5, options.length))
        offset = generator.normal(0, 0.25 * stage.size, 2)
        path = _crossing(generator, stage, size, meets, offset)
        if path is not None:
            layers.append(_layer(cutout, size, path))
    return layers


def _crossing(
    generator: Generator, stage: Scene, size: float, meets: int, offset: np.ndarray
) -> motion.Path | None:
    """Return a path, standing or straight, near the target in frame `meets` but not in the first.

    None where that cannot be: the target stands still there, or the frame comes too early.
    """
    apart = 0.8 * (size + stage.size)
    place = stage.centre[meets] + offset
    standing = _standing(stage.camera, place, meets)
    if np.hypot(*(standing.centre[0] - stage.centre[0])) > apart and generator.random() < 0.5:
        return standing
    direction = generator.uniform(0, 2 * np.pi)
    speed = apart / generator.uniform(5, 40)
    for _ in range(8):
        velocity = speed * np.array([np.cos(direction), np.sin(direction)])
        centre = place + (np.arange(len(stage.centre)) - meets)[:, None] * velocity
        if np.hypot(*(centre[0] - stage.centre[0])) > apart:
            return motion.steady(centre)
        speed *= 1.5
    return None


def _standing(camera: np.ndarray, place: np.ndarray, t: int) -> motion.Path:
    """Return the path of something fixed to the ground and at image point `place` in frame t."""
    ground = np.linalg.solve(camera[t, :, :2], place - camera[t, :, 2])
    zoom = motion.zoom_of(camera)
    return motion.steady(motion.through(camera, ground), zoom / zoom[t])


def _layer(cutout: Cutout, size: float, path: motion.Path) -> Layer:
    """Make a layer of a cut-out whose box has an area of size ** 2 pixels at scale 1."""
    height, width = cutout.alpha.shape
    nominal = np.maximum(size * np.array([width, height]) / np.sqrt(width * height), SHORTEST_SIDE)
    finest = nominal * path.scale.max()  # shrink once, well; the warp itself does not average
    factor = min(float((finest / (width, height)).max()), 1.0)
    resized = Cutout(*(_shrunk(part, factor) for part in cutout))
    return Layer.of(resized, motion.placements(path, resized.alpha.shape, nominal))


def _fainter(generator: Generator, cutout: Cutout, canvas: np.ndarray) -> Cutout:
    """Bring an object's colours close to the mean colour of the background."""
    inside = cutout.alpha >= SOLID
    mean = cutout.rgb[inside].mean(0) if inside.any() else cutout.rgb.mean((0, 1))
    shift = generator.standard_normal(3)
    shift *= generator.uniform(20, 45) / np.linalg.norm(shift)
    towards = np.array(cv2.mean(canvas)[:3]) + shift
    rgb = (cutout.rgb - mean) * generator.uniform(0.35, 0.8) + towards
    return cutout._replace(rgb=np.clip(rgb, 0, 255).astype(np.uint8))


def _shake(generator: Generator, options: ClipOptions) -> np.ndarray:
    """Return the offsets of a hand-held camera, (T, 2) pixels; zeros for most clips."""
    drawn = motion.stationary(generator, options.length, 2, generator.uniform(1, 3))
    return (
        drawn
        * options.width
        * generator.uniform(0.002, 0.02)
        * (generator.random() < options.shake)
    )


def _look(generator: Generator, options: ClipOptions) -> CameraEffects:
    """Draw light, shutter, focus and noise of one clip."""
    length, height, width = options.length, options.height, options.width
    gain, gamma = np.ones((length, 3)), 1.0
    if generator.random() < options.relight:
        swell = np.tanh(motion.stationary(generator, length, 1, generator.uniform(5, 40)))
        gain = (1 + generator.uniform(0, 0.35) * swell) * generator.uniform(0.9, 1.1, 3)
        gamma = float(np.exp(generator.uniform(-0.4, 0.4)))
    noise = np.zeros((0, 0, 3), np.int16)
    if generator.random() < 0.5:
        grain = generator.standard_normal((height + NOISE_ROOM, width + NOISE_ROOM), np.float32)
        noise = np.repeat(
            np.round(grain * generator.uniform(1, 6)).astype(np.int16)[..., None], 3, 2
        )
    return CameraEffects(
        gain=gain,
        gamma=gamma,
        exposure=float(generator.uniform(0.3, 1) * (generator.random() < options.motion_blur)),
        defocus=float(generator.uniform(0.4, 1) * (generator.random() < 0.2)),
        grey=bool(generator.random() < options.grey),
        noise=noise,
        noise_at=generator.integers(0, NOISE_ROOM, (length, 2)),
    )


def _fit(canvas: np.ndarray, frame: tuple[int, int]) -> float:
    """Return the zoom at which a view of the frame's size is just within the canvas."""
    return 1.02 * max(frame[0] / canvas.shape[0], frame[1] / canvas.shape[1])


def _shrink_factor(canvas: np.ndarray, frame: tuple[int, int]) -> float:
    """Return the factor (at most 1) that keeps a canvas from being much finer than the frames."""
    return min(1.0, 2.5 * _fit(canvas, frame))


def _shrunk(picture: np.ndarray, factor: float) -> np.ndarray:
    """Shrink a picture by a factor; as it is where the factor is 1."""
    if factor >= 1:
        return picture
    size = tuple(max(round(side * factor), 1) for side in (picture.shape[1], picture.shape[0]))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _shifted(matrices: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Shift what matrices (T, 2, 3) map to by (T, 2)."""
    return matrices + np.concatenate([np.zeros((len(shift), 2, 2)), shift[:, :, None]], 2)


def _shaken(layer: Layer, shake: np.ndarray) -> Layer:
    """Shift a layer's way by (T, 2) pixels."""
    return Layer(layer.patch, _shifted(layer.matrices, shake))


def _log_uniform(generator: Generator, bounds: tuple[float, float]) -> float:
    """Draw a value whose logarithm is uniform between the bounds."""
    return float(np.exp(generator.uniform(*np.log(bounds))))
