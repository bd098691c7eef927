"""Synthetic clips of moving, turning, partly hidden objects, with exact boxes.

    clip = compose_clip(np.random.default_rng(7), ProceduralTextures(), ClipOptions(length=60))
    plan = plan_clip(rng, PhotoTextures(folder), ClipOptions())  # nothing is drawn yet
    some = render(plan, [0, 40, 55])  # these frames and their truth
    truth = annotate(plan)  # all boxes and no frames

Everything random is drawn in `plan_clip` from the generator handed in: the same seed gives the same
pixels, whatever frames are drawn.

A box is the extent of the target's part inside the image, before occlusion (as in GOT-10k and
LaSOT); `cover` is the share of the whole target that can be seen. Below `ClipOptions.min_cover` a
frame is not `visible`; its box is 0, 0, 0, 0 where the target has left the image, and keeps its
extent where it is hidden. The first frame is visible.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.plan import MIN_SIDE, plan_scene
from lib.synthetic.render import ClipPlan, draw_frame, measure_target
from lib.synthetic.textures import Textures

MAX_PLANS = 50  # made before giving up on a good first frame
MIN_START_COVER = 0.7  # of the target in the first frame


class Annotation(NamedTuple):
    """The truth of some frames, in the order asked for."""

    boxes_xywh: np.ndarray  # (T, 4) float64 pixels, whole numbers; 0, 0, 0, 0: out of view
    visible: np.ndarray  # (T,) bool
    cover: np.ndarray  # (T,) float64: share of the target in the image and not occluded, [0, 1]


class Clip(NamedTuple):
    """Frames and their truth, see `Annotation`."""

    frames: np.ndarray  # (T, H, W, 3) uint8 RGB
    boxes_xywh: np.ndarray
    visible: np.ndarray
    cover: np.ndarray


def compose_clip(rng: Generator, textures: Textures, options: ClipOptions) -> Clip:
    """Plan a clip and draw all its frames."""
    return render(plan_clip(rng, textures, options))


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
    boxes_xywh = np.array([state.box_xywh for state in states]).reshape(-1, 4)
    cover = np.array([state.cover for state in states], np.float64)
    return Annotation(boxes_xywh, cover >= plan.min_cover, cover)


def plan_clip(rng: Generator, textures: Textures, options: ClipOptions) -> ClipPlan:
    """Draw everything random of one clip: images, trajectories, camera effects.

    Takes a few milliseconds and the reading of its images, however long the clip is.

    Raises:
        RuntimeError: no plan of MAX_PLANS has a visible target in its first frame.
    """
    for _ in range(MAX_PLANS):
        plan = plan_scene(rng, textures, options)
        first = measure_target(plan, 0)
        if first.cover >= MIN_START_COVER and first.box_xywh[2:].min() >= MIN_SIDE:
            return plan
    raise RuntimeError(
        f"no clip with a visible target in its first frame in {MAX_PLANS} tries with {options}"
    )
