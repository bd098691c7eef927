"""Guards planned clips: they keep their options, start with a visible target, and move smoothly."""

from dataclasses import replace

import numpy as np
import pytest

from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.motion import fixed_to_ground
from lib.synthetic.plan import plan_clip
from lib.synthetic.procedural import ProceduralTextures
from lib.synthetic.render import annotate, measure_target, render

SMALL = ClipOptions(length=12, height=96, width=128, object_size=(0.1, 0.4))
PLAIN = replace(SMALL, region=0, shake=0, motion_blur=0, relight=0, faint=0, grey=0)


def test_visible_from_the_min_cover_of_the_options_on():
    options = replace(PLAIN, min_cover=0.4, occluders=(3, 3), length=40)
    hidden = 0
    for seed in range(8):
        plan = plan_clip(np.random.default_rng(seed), ProceduralTextures(), options)
        truth = annotate(plan)
        np.testing.assert_array_equal(truth.visible, truth.cover >= 0.4)
        hidden += np.sum(~truth.visible & (truth.cover > 0.1))
    assert hidden > 0


@pytest.mark.parametrize("region", [0, 1])
def test_clips_start_visible_and_keep_their_ranges(region):
    options = replace(SMALL, region=region, leave=0.5)
    shares = []
    for seed in range(25):
        plan = plan_clip(np.random.default_rng(seed), ProceduralTextures(), options)
        boxes, visible, cover = annotate(plan)
        assert visible[0] and cover[0] >= 0.7
        assert ((0 <= cover) & (cover <= 1)).all()
        assert (boxes == np.round(boxes)).all()
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, :2] + boxes[:, 2:] <= [options.width, options.height]).all()
        assert (boxes[visible, 2:] >= 1).all()
        shares.append(np.sqrt(boxes[0, 2] * boxes[0, 3] / (options.width * options.height)))
    assert min(shares) < 0.2 and max(shares) > 0.3  # small ones and large ones


def test_speed_is_a_share_of_the_size_each_frame():
    options = replace(PLAIN, length=100, object_size=(0.15, 0.15), speed=(0.1, 0.1), leave=1)
    steps = []
    for seed in range(20):
        plan = plan_clip(np.random.default_rng(seed), ProceduralTextures(), options)
        steps += [np.sum(plan.target.step(t) ** 2) for t in range(1, 100)]
    size = 0.15 * np.sqrt(options.width * options.height)
    assert 0.08 < np.sqrt(np.mean(steps)) / size < 0.11  # turns at the borders cost a little


def test_paths_are_smooth():
    options = replace(PLAIN, length=60, object_size=(0.2, 0.2), speed=(0.1, 0.1))
    for seed in range(10):
        plan = plan_clip(np.random.default_rng(seed), ProceduralTextures(), options)
        steps = np.array([plan.target.step(t) for t in range(1, 60)])
        turns = np.diff(steps, axis=0)
        assert np.sqrt((turns**2).sum(1).mean()) < 0.5 * np.sqrt((steps**2).sum(1).mean())


def test_without_occluders_a_target_that_stays_is_whole():
    options = replace(PLAIN, speed=(0.2, 0.2), leave=0, object_size=(0.1, 0.1))
    free, met = [], []
    for seed in range(15):
        for out, number in ((free, (0, 0)), (met, (3, 3))):
            chosen = replace(options, occluders=number, length=40)
            plan = plan_clip(np.random.default_rng(seed), ProceduralTextures(), chosen)
            out.append(annotate(plan).cover.min())
    assert min(free) > 0.4  # cut by the border at most
    assert np.mean(np.array(met) < 0.4) > 0.7  # most are hidden at some time


def test_grey_clips_are_grey():
    options = replace(SMALL, length=2)
    for chance in (0, 1):
        chosen = replace(options, grey=chance)
        frames = render(plan_clip(np.random.default_rng(1), ProceduralTextures(), chosen)).frames
        assert (np.ptp(frames, axis=3) == 0).all() == bool(chance)


def test_chance_of_motion_blur():
    for chance in (0, 1):
        options = replace(SMALL, motion_blur=chance)
        plan = plan_clip(np.random.default_rng(2), ProceduralTextures(), options)
        assert (0.3 <= plan.effects.exposure <= 1) == bool(chance)


def test_occluders_are_away_from_the_target_at_the_start():
    options = replace(PLAIN, occluders=(3, 3), length=40)
    for seed in range(20):
        plan = plan_clip(np.random.default_rng(seed), ProceduralTextures(), options)
        alone = replace(plan, occluders=())
        assert measure_target(plan, 0)[1] >= measure_target(alone, 0)[1] - 0.05


def test_what_stands_on_the_ground_moves_and_grows_with_it():
    camera = np.array([[[1, 0, 0], [0, 1, 0]], [[2, 0, -10], [0, 2, 5]]], float)  # twice as near
    trajectory = fixed_to_ground(camera, np.array([30.0, 20.0]), 0)
    assert trajectory.centre.tolist() == [[30, 20], [50, 45]]  # 2 * 30 - 10, 2 * 20 + 5
    assert trajectory.scale.tolist() == [1, 2]


def test_faint_targets_have_the_colours_of_the_background():
    distances = {}
    for chance in (0, 1):
        options, found = replace(PLAIN, faint=chance), []
        for seed in range(20):
            plan = plan_clip(np.random.default_rng(seed), ProceduralTextures(), options)
            solid = plan.target.patch[..., 3] == 255
            colour = plan.target.patch[solid][:, :3].mean(0)
            found.append(np.linalg.norm(colour - plan.background.mean((0, 1))))
        distances[chance] = np.array(found)
    assert distances[1].max() < 60
    assert distances[0].mean() > 1.5 * distances[1].mean()


def test_distractors_start_apart_from_the_target():
    options = replace(PLAIN, distractors=(3, 3))
    counts = []
    for seed in range(20):
        plan = plan_clip(np.random.default_rng(seed), ProceduralTextures(), options)
        counts.append(len(plan.distractors))
        middle, *others = (
            layer.matrices[0] @ [*(np.array(layer.patch.shape[1::-1]) / 2 - 0.5), 1]
            for layer in (plan.target, *plan.distractors)
        )
        size = np.sqrt(np.prod(measure_target(plan, 0)[0][2:]))
        assert all(np.hypot(*(other - middle)) > 0.5 * size for other in others)
    assert max(counts) == 3 and np.mean(counts) > 1


def test_a_clip_of_one_frame_and_frames_of_another_shape():
    options = ClipOptions(length=1, height=100, width=60, object_size=(0.1, 0.2))
    for seed in range(5):
        clip = render(plan_clip(np.random.default_rng(seed), ProceduralTextures(), options))
        assert clip.frames.shape == (1, 100, 60, 3) and clip.visible.all()


def test_giving_up_is_said(monkeypatch):
    monkeypatch.setattr("lib.synthetic.plan.MIN_START_COVER", 1.1)
    with pytest.raises(
        RuntimeError, match="no clip with a visible target in its first frame in 50"
    ):
        plan_clip(np.random.default_rng(0), ProceduralTextures(), SMALL)
