"""Synthetic clips: exact boxes, honest flags, same seed same pixels, refusals by name."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.compose import annotate, compose_clip, plan_clip, render
from lib.synthetic.effects import CameraEffects
from lib.synthetic.motion import fixed_to_ground
from lib.synthetic.procedural import ProceduralTextures
from lib.synthetic.render import ClipPlan, Layer, draw_frame, measure_target
from lib.synthetic.textures import Cutout, PhotoTextures

PHOTOGRAPHS = Path(__file__).parents[3] / "shared" / "images"
SMALL = ClipOptions(length=12, height=96, width=128, object_size=(0.1, 0.4))
PLAIN = replace(SMALL, region=0, shake=0, motion_blur=0, relight=0, faint=0, grey=0)


def rectangle(width: int, height: int, *matrices: list) -> Layer:
    """Return a white, fully opaque layer on its way."""
    rgb, alpha = np.full((height, width, 3), 255, np.uint8), np.full((height, width), 255, np.uint8)
    return Layer.of(Cutout(rgb, alpha), np.array(matrices, np.float64))


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
    state = measure_target(plan, 0)
    assert state.box_xywh.tolist() == box
    assert state.cover == pytest.approx(cover)
    if cover:
        assert extent(draw_frame(plan, 0)) == box


def test_only_pixels_at_least_half_covered_count():
    layer = rectangle(10, 6, at(20, 30))
    layer.patch[:, :2, 3], layer.patch[:, 2, 3] = 127, 128
    assert measure_target(plan_of(layer), 0).box_xywh.tolist() == [22, 30, 8, 6]


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


def test_visible_from_the_min_cover_of_the_options_on():
    options = replace(PLAIN, min_cover=0.4, occluders=(3, 3), length=40)
    hidden = 0
    for seed in range(8):
        plan = plan_clip(np.random.default_rng(seed), ProceduralTextures(), options)
        truth = annotate(plan)
        np.testing.assert_array_equal(truth.visible, truth.cover >= 0.4)
        hidden += np.sum(~truth.visible & (truth.cover > 0.1))
    assert hidden > 0


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
        assert extent(draw_frame(plan, 0)) == measure_target(plan, 0).box_xywh.tolist()


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
        assert measure_target(plan, t).box_xywh.tolist() == box
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
            box = measure_target(painted, t).box_xywh
            if box[2:].all():
                np.testing.assert_allclose(extent(draw_frame(painted, t)), box, atol=1)


def test_same_seed_same_pixels_and_any_frames_in_any_order():
    clips = [compose_clip(np.random.default_rng(5), ProceduralTextures(), SMALL) for _ in range(2)]
    for ours, theirs in zip(*clips, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    plan = plan_clip(np.random.default_rng(5), ProceduralTextures(), SMALL)
    some = render(plan, [7, 0, 7])
    for part, whole in zip(some, clips[0], strict=True):
        np.testing.assert_array_equal(part, whole[[7, 0, 7]])
    other = compose_clip(np.random.default_rng(6), ProceduralTextures(), SMALL)
    assert (other.frames != clips[0].frames).mean() > 0.5


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
        frames = compose_clip(np.random.default_rng(1), ProceduralTextures(), chosen).frames
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
        assert measure_target(plan, 0).cover >= measure_target(alone, 0).cover - 0.05


def test_what_stands_on_the_ground_moves_and_grows_with_it():
    camera = np.array([at(0, 0), at(-10, 5, 2)], np.float64)  # twice as near
    trajectory = fixed_to_ground(camera, np.array([30.0, 20.0]), 0)
    assert trajectory.centre.tolist() == [[30, 20], [50, 45]]  # 2 * 30 - 10, 2 * 20 + 5
    assert trajectory.scale.tolist() == [1, 2]


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
        size = np.sqrt(np.prod(measure_target(plan, 0).box_xywh[2:]))
        assert all(np.hypot(*(other - middle)) > 0.5 * size for other in others)
    assert max(counts) == 3 and np.mean(counts) > 1


def test_a_clip_of_one_frame_and_frames_of_another_shape():
    options = ClipOptions(length=1, height=100, width=60, object_size=(0.1, 0.2))
    for seed in range(5):
        clip = compose_clip(np.random.default_rng(seed), ProceduralTextures(), options)
        assert clip.frames.shape == (1, 100, 60, 3) and clip.visible.all()


def write_photographs(folder: Path, count: int = 3) -> None:
    """Write noise images whose segmentation masks hold one segment in the middle."""
    generator = np.random.default_rng(0)
    for number in range(count):
        photo = cv2.resize(generator.integers(0, 255, (15, 20, 3), np.uint8), (160, 120))
        mask = np.ones((120, 160), np.uint8)
        mask[40:80, 50:110] = 2
        cv2.imwrite(str(folder / f"{number}.jpg"), photo)
        cv2.imwrite(str(folder / f"{number}.png"), mask)


def test_images_with_segmentation_masks(tmp_path):
    write_photographs(tmp_path)
    for seed in range(6):
        clip = compose_clip(np.random.default_rng(seed), PhotoTextures(tmp_path), SMALL)
        assert clip.frames.shape == (12, 96, 128, 3) and clip.visible[0]
    segment = PhotoTextures(tmp_path)._draw(np.random.default_rng(0))[1]
    assert [(part.corner, part.alpha.shape) for part in segment] == [((50, 40), (40, 60))]


def test_what_a_segment_encloses_belongs_to_it(tmp_path):
    write_photographs(tmp_path, 1)
    mask = cv2.imread(str(tmp_path / "0.png"), cv2.IMREAD_UNCHANGED)
    mask[50:60, 60:80] = 3
    cv2.imwrite(str(tmp_path / "0.png"), mask)
    _, segments = PhotoTextures(tmp_path)._draw(np.random.default_rng(0))
    ring = next(part for part in segments if part.corner == (50, 40))
    assert ring.alpha.min() == 255


def test_photographs_kept_decoded_or_not_give_the_same_clip(tmp_path):
    write_photographs(tmp_path)
    one, many = (PhotoTextures(tmp_path, keep=keep) for keep in (1, 10))
    for seed in range(4):
        first, second = (compose_clip(np.random.default_rng(seed), t, SMALL) for t in (one, many))
        np.testing.assert_array_equal(first.frames, second.frames)


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="../shared/images is not here")
def test_real_photographs():
    textures = PhotoTextures(PHOTOGRAPHS)
    covers = []
    for seed in range(8):
        plan = plan_clip(np.random.default_rng(seed), textures, ClipOptions(length=40))
        clip = render(plan, [0, 20, 39])
        assert clip.visible[0]
        assert clip.frames.std(axis=(1, 2)).min() > 3  # no flat frames
        covers.append(annotate(plan).cover.min())
    assert min(covers) < 0.9  # some are hidden or cut


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no \*.jpg; images with segmentation masks"):
        PhotoTextures(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere: no \*.jpg"):
        PhotoTextures(tmp_path / "nowhere")
    write_photographs(tmp_path, 1)
    (tmp_path / "0.png").rename(tmp_path / "1.png")
    with pytest.raises(FileNotFoundError, match=r"0.jpg: its segmentation mask 0.png is missing"):
        PhotoTextures(tmp_path)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            np.ones((10, 12), np.uint8),
            r"0.png: the mask is 12x10 pixels, its image 160x120",
        ),
        (
            np.ones((120, 160, 3), np.uint8),
            r"0.png: not a segmentation mask \(an image of one channel",
        ),
    ],
)
def test_segmentation_masks_that_do_not_fit(tmp_path, mask, message):
    write_photographs(tmp_path, 1)
    cv2.imwrite(str(tmp_path / "0.png"), mask)
    with pytest.raises(ValueError, match=message):
        compose_clip(np.random.default_rng(0), PhotoTextures(tmp_path), SMALL)


REFUSED = {
    "no frames": ({"length": 0}, "length = 0: 1 to 1e\\+06 is allowed"),
    "tiny frame": ({"height": 8}, "height = 8: 16 to 8192 is allowed"),
    "objects too small": (
        {"object_size": (0.01, 0.3)},
        "0.01 is 2.8 pixels in frames of 320x240; 4 pixels, that is 0.0144, are needed",
    ),
    "object larger than the image": ({"object_size": (0.1, 1.5)}, "0.001 to 1 is allowed"),
    "pair the wrong way round": ({"speed": (0.2, 0.1)}, "the first not above the second"),
    "negative count": ({"occluders": (-1, 2)}, r"occluders = \(-1, 2\): 0 to 100 is allowed"),
    "not a chance": ({"leave": 1.2}, "leave = 1.2: 0 to 1 is allowed"),
    "not a number": ({"grey": float("nan")}, "grey = nan: 0 to 1 is allowed"),
    "shrinking change": ({"scale_change": 0.5}, "scale_change = 0.5: 1 to 10 is allowed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_impossible_options_are_refused_by_name(case):
    options, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        ClipOptions(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 2.5}, "length = 2.5: a whole number is needed"),
        ({"speed": 0.1}, "speed = 0.1: a pair of numbers is needed"),
        ({"distractors": (0, 1, 2)}, "a pair of whole numbers is needed"),
        ({"region": True}, "region = True: a number is needed"),
    ],
)
def test_options_of_another_type_are_refused_by_name(options, message):
    with pytest.raises(TypeError, match=message):
        ClipOptions(**options)


def test_giving_up_is_said(monkeypatch):
    monkeypatch.setattr("lib.synthetic.compose.MIN_START_COVER", 1.1)
    with pytest.raises(
        RuntimeError, match="no clip with a visible target in its first frame in 50"
    ):
        plan_clip(np.random.default_rng(0), ProceduralTextures(), SMALL)
