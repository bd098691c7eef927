"""Guards rendered clips: exact boxes, cover and flags; the same seed gives the same pixels."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.effects import CameraEffects
from lib.synthetic.plan import plan_clip
from lib.synthetic.procedural import ProceduralTextures
from lib.synthetic.render import (
    ClipPlan,
    Layer,
    annotate,
    draw_frame,
    measure_target,
    premultiplied,
    render,
)
from lib.synthetic.textures import Cutout

SMALL = ClipOptions(length=12, height=96, width=128, object_size=(0.1, 0.4))


def rectangle(width: int, height: int, *matrices: list) -> Layer:
    """Return a white, fully opaque layer on its way."""
    rgb, alpha = np.full((height, width, 3), 255, np.uint8), np.full((height, width), 255, np.uint8)
    return Layer(premultiplied(Cutout(rgb, alpha)), np.array(matrices, np.float64))


def at(x: float, y: float, scale: float = 1) -> list:
    """Return the matrix that puts pixel 0, 0 at x, y."""
    return [[scale, 0, x], [0, scale, y]]


def plan_of(target: Layer, *front: Layer) -> ClipPlan:
    """Return a plan over a black canvas, frames 100 wide and 80 high."""
    length = len(target.matrices)
    return ClipPlan(
        height=80,
        width=100,
        background=np.zeros((80, 100, 3), np.uint8),
        camera=np.array([at(0, 0)] * length, np.float64),
        target=target,
        draw_target=True,
        distractors=(),
        occluders=front,
        effects=CameraEffects(gain=np.ones((length, 3))),
    )


def extent(image: np.ndarray) -> list[int]:
    """Return the box of the pixels that are at least half white."""
    rows, columns = np.nonzero(image[..., 0] >= 128)
    left, top = columns.min(), rows.min()
    return [left, top, columns.max() - left + 1, rows.max() - top + 1]


QUARTER_TURN = [[0, -1, 50], [1, 0, 30]]  # pixel (x, y) goes to (50 - y, 30 + x)


BOXES = {  # of a target 10 wide and 6 high: matrix, box, cover
    "inside": (at(20, 30), [20, 30, 10, 6], 1),
    "third of a pixel right": (at(20.33, 30), [20, 30, 10, 6], 1),
    "three times as large": (at(20, 30, 3), [19, 29, 30, 18], 1),  # 20 - 1 .. 20 + 9 * 3 + 1
    "quarter turn": (QUARTER_TURN, [45, 30, 6, 10], 1),
    "4 of 10 columns beyond the left edge": (at(-4, 30), [0, 30, 6, 6], 0.6),
    "half beyond the right edge": (at(95, 30), [95, 30, 5, 6], 0.5),
    "in the corner": (at(98, 77), [98, 77, 2, 3], 0.1),  # 2 * 3 of 60
    "touching the outside": (at(100, 30), [0, 0, 0, 0], 0),
    "far away": (at(-500, 30), [0, 0, 0, 0], 0),
}


@pytest.mark.parametrize("case", BOXES)
def test_box_is_the_extent_of_the_mask_in_the_image(case):
    matrix, box, cover = BOXES[case]
    plan = plan_of(rectangle(10, 6, matrix))
    measured_box, measured_cover = measure_target(plan, 0)
    assert measured_box.tolist() == box
    assert measured_cover == pytest.approx(cover)
    if cover:
        assert extent(draw_frame(plan, 0)) == box


def test_only_pixels_at_least_half_covered_count():
    layer = rectangle(10, 6, at(20, 30))
    layer.patch[:, :2, 3], layer.patch[:, 2, 3] = 127, 128
    assert measure_target(plan_of(layer), 0)[0].tolist() == [22, 30, 8, 6]


OCCLUDERS = {  # width of an occluder over the left of a target 10 wide: cover, visible
    "none": (0, 1.0, True),
    "half": (5, 0.5, True),
    "all but a column": (9, 0.1, True),
    "all": (10, 0.0, False),
}


@pytest.mark.parametrize("case", OCCLUDERS)
def test_occlusion_lowers_cover_and_leaves_the_box(case):
    width, cover, visible = OCCLUDERS[case]
    front = [rectangle(width, 20, at(20, 25))] if width else []
    truth = annotate(plan_of(rectangle(10, 6, at(20, 30)), *front))
    assert truth.boxes_xywh.tolist() == [[20, 30, 10, 6]]
    assert truth.cover.tolist() == pytest.approx([cover])
    assert truth.visible.tolist() == [visible]


def test_overlapping_occluders_count_once():
    front = [rectangle(5, 20, at(20, 25)), rectangle(4, 20, at(23, 25))]  # columns 20..24, 23..26
    assert annotate(plan_of(rectangle(10, 6, at(20, 30)), *front)).cover.tolist() == [0.3]


def test_an_occluder_hides_where_it_is_at_least_half_opaque():
    occluder = rectangle(10, 20, at(20, 25))
    occluder.patch[:, :4, 3] = 100
    truth = annotate(plan_of(rectangle(10, 6, at(20, 30)), occluder))
    assert truth.cover.tolist() == [0.4]


def test_a_target_that_is_nearly_out_of_view_has_no_box():
    truth = annotate(plan_of(rectangle(20, 6, at(99, 30), at(80, 30))))  # 1 of 20 columns, then all
    assert truth.boxes_xywh.tolist() == [[0, 0, 0, 0], [80, 30, 20, 6]]
    assert truth.visible.tolist() == [False, True]
    assert truth.cover.tolist() == [0.05, 1.0]


def test_box_follows_what_is_drawn_through_turns_and_scales():
    generator = np.random.default_rng(3)
    for _ in range(30):
        angle, scale = generator.uniform(0, 6.3), generator.uniform(0.5, 3)
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        x, y = generator.uniform(10, 90), generator.uniform(10, 70)
        plan = plan_of(rectangle(11, 7, [[cosine, -sine, x], [sine, cosine, y]]))
        assert extent(draw_frame(plan, 0)) == measure_target(plan, 0)[0].tolist()


def test_motion_blur_stays_centred_on_the_box():
    plan = plan_of(rectangle(20, 12, at(20, 30), at(32, 30)))
    image = (
        draw_frame(replace(plan, effects=replace(plan.effects, exposure=1.0)), 1)[..., 0] / 255.0
    )
    columns = np.flatnonzero(image.any(0))
    assert len(columns) == pytest.approx(20 + 12, abs=1)  # the box and the way of one frame
    centre = (image.sum(0) * np.arange(100)).sum() / image.sum()
    assert centre == pytest.approx(32 + 9.5, abs=0.1)


def test_a_region_of_the_background_moves_with_the_camera():
    background = np.zeros((80, 100, 3), np.uint8)
    background[30:36, 20:30] = 255
    camera = np.array([at(0, 0), at(7, -4)], np.float64)
    onto_background = np.array([[1, 0, 20], [0, 1, 30], [0, 0, 1]])
    target = Layer(rectangle(10, 6).patch, camera @ onto_background)
    target.patch[..., :3] = 90  # must not be drawn
    plan = replace(plan_of(target), background=background, camera=camera, draw_target=False)
    for t, box in enumerate([[20, 30, 10, 6], [27, 26, 10, 6]]):
        assert measure_target(plan, t)[0].tolist() == box
        assert extent(draw_frame(plan, t)) == box


@pytest.mark.parametrize("kind", ["object", "region"])
def test_a_planned_box_is_where_the_target_can_be_seen(kind):
    """With the target painted white and all else black, the box is the extent of white."""
    options = replace(SMALL, region=float(kind == "region"), shake=1, occluders=(0, 0))
    for seed in range(8):
        plan = plan_clip(np.random.default_rng(seed), ProceduralTextures(), options)
        effects = CameraEffects(gain=np.ones((len(plan), 3)))
        background = np.zeros_like(plan.background)
        if kind == "region":
            inverse = cv2.invertAffineTransform(plan.camera[0])
            onto = np.vstack([inverse, [0, 0, 1]]) @ np.vstack([plan.target.matrices[0], [0, 0, 1]])
            size = background.shape[1::-1]
            background[cv2.warpAffine(plan.target.patch[..., 3], onto[:2], size) >= 128] = 255
        else:
            plan.target.patch[..., :3] = plan.target.patch[..., 3:]
        painted = replace(plan, background=background, distractors=(), effects=effects)
        for t in range(len(plan)):
            box, _ = measure_target(painted, t)
            if box[2:].all():
                np.testing.assert_allclose(extent(draw_frame(painted, t)), box, atol=1)


def test_same_seed_same_pixels_and_any_frames_in_any_order():
    plan, again, other = (
        plan_clip(np.random.default_rng(seed), ProceduralTextures(), SMALL) for seed in (5, 5, 6)
    )
    clip = render(plan)
    for ours, theirs in zip(clip, render(again), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for part, whole in zip(render(plan, [7, 0, 7]), clip, strict=True):
        np.testing.assert_array_equal(part, whole[[7, 0, 7]])
    assert (render(other).frames != clip.frames).mean() > 0.5


def test_light_and_noise():
    plan = plan_of(rectangle(10, 6, at(20, 30)))
    noise = np.zeros((80 + 2, 100 + 2, 3), np.int16)
    noise[2 + 33, 1 + 25] = -30  # shifted by 2 rows and 1 column: falls on row 33, column 25
    effects = CameraEffects(gain=np.array([[0.5, 0.2, 2.0]]), noise=(noise, np.array([[2, 1]])))
    image = draw_frame(replace(plan, effects=effects), 0)
    assert image[31, 25].tolist() == [128, 51, 255]
    assert image[33, 25].tolist() == [98, 21, 225]
    grey = replace(plan, background=np.full((80, 100, 3), 128, np.uint8))
    dark = replace(grey, effects=replace(grey.effects, gamma=2.0))
    assert draw_frame(dark, 0)[0, 0].tolist() == [64, 64, 64]  # (128 / 255) ** 2 * 255


def test_a_bent_object_is_measured_as_it_is_drawn():
    """A grid that moves everything by a fifth of the width to the right, and out of the picture."""
    target = rectangle(20, 20, at(10, 10))
    still = np.zeros((1, 4, 4, 2), np.float32)
    assert np.array_equal(replace(target, grid=still).look(0), target.patch)
    bent = replace(target, grid=still + np.float32([-0.2, 0]))
    plan = plan_of(bent)
    assert extent(draw_frame(plan, 0)) == [14, 10, 16, 20]
    assert measure_target(plan, 0)[0].tolist() == [14, 10, 16, 20]


def test_colours_turn_into_others_within_the_same_outline():
    white = rectangle(20, 20, at(10, 10), at(10, 10))
    black = white.patch.copy()
    black[..., :3] = 0
    painted = replace(white, repaint=(black, np.array([0.5, 0.0])))
    assert painted.look(0)[..., :3].mean() == pytest.approx(127.5, abs=1)
    assert np.array_equal(painted.look(0)[..., 3], white.patch[..., 3])
    assert np.array_equal(painted.look(1), white.patch)


def test_what_changes_much_is_still_where_its_box_says():
    """All stronger effects at once: what differs from a clip without target is in its box."""
    options = replace(SMALL, spin=1.0, bend=1.0, repaint=1.0, scale_change=4.5, region=0.0)
    options = replace(options, relight=0.0, motion_blur=0.0, occluders=(0, 0), distractors=(0, 0))
    for seed in range(5):
        plan = plan_clip(np.random.default_rng(seed), ProceduralTextures(), options)
        assert plan.target.grid is not None and plan.target.repaint is not None
        empty = replace(plan, draw_target=False)
        for t in (0, 6, 11):
            changed = np.any(draw_frame(plan, t) != draw_frame(empty, t), 2).astype(np.uint8)
            x, y, w, h = plan_box = measure_target(plan, t)[0]
            if not plan_box.any():
                continue
            bx, by, bw, bh = cv2.boundingRect(changed)
            assert np.abs(np.array([bx - x, by - y, bx + bw - x - w, by + bh - y - h])).max() <= 3


def test_a_shadow_is_dark_and_moves_with_its_target():
    options = replace(SMALL, shadow=1.0, region=0.0, distractors=(0, 0), occluders=(0, 0))
    options = replace(options, relight=0.0, grey=0.0)
    plan = plan_clip(np.random.default_rng(1), ProceduralTextures(), options)
    (shadow,) = plan.distractors
    lit = replace(plan, distractors=())
    for t in (0, 11):
        difference = draw_frame(plan, t).astype(int) - draw_frame(lit, t)
        assert difference.min() < -20 and difference.max() <= 1
    assert not np.allclose(shadow.matrices[0], shadow.matrices[11])


def test_compressed_frames():
    options = replace(SMALL, compress=1.0)
    plan = plan_clip(np.random.default_rng(1), ProceduralTextures(), options)
    assert plan.effects.quality in range(10, 60)
    whole = replace(plan, effects=replace(plan.effects, quality=None))
    difference = np.abs(draw_frame(plan, 0).astype(int) - draw_frame(whole, 0))
    assert 1 < difference.mean() < 20
