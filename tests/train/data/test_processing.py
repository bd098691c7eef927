"""Guards a sample's making: shapes, windows' places, boxes that stay on their target."""

import contextlib

import cv2
import numpy as np
import pytest
import torch

from lib.config.aiatrack.config import make_config
from lib.train.data import processing, transforms
from lib.train.data.batch import Batch, collate
from lib.train.data.processing import SearchConfig, UnusableSample, read_search_config
from lib.train.data.random_boxes import Jitter
from lib.train.data.transforms import CropTransform, FrameTransform
from lib.utils.crop import Crop, CropImage

SIZE = 128
SEARCH_CONFIG = SearchConfig(SIZE, 5.0, Jitter(0, 0), Jitter(4.5, 0.5))
BOXES = np.array([[70.0, 60, 40, 30], [90, 50, 30, 50], [60, 80, 50, 36]])


def _frames() -> list[np.ndarray]:
    """Dark frames with a bright target of its own colour each."""
    frames = []
    for number, (x, y, w, h) in enumerate(BOXES.astype(int)):
        frame = np.full((180, 220, 3), 20, np.uint8)
        frame[y : y + h, x : x + w] = 150 + 25 * number
        frames.append(frame)
    return frames


def _sample(*arguments: object) -> Batch:
    """Draw a sample and unpack it; without the batch axis."""
    batch = collate([processing.make_sample(*arguments)]).to("cpu")
    return Batch._make(value[0] for value in batch)


def _inner_and_outer(image: torch.Tensor, box: torch.Tensor, width: float) -> tuple[float, float]:
    """Return the least brightness well inside the box and the greatest well outside."""
    x1, y1, w, h = (box * SIZE).tolist()
    centres = torch.arange(SIZE)
    slack = 1.5 + 1.5 * w / width  # interpolation; a frame's flip is a pixel of it off
    inside = [
        (centres > low + margin) & (centres < high - margin)
        for margin in (slack, -slack)
        for low, high in ((y1, y1 + h), (x1, x1 + w))
    ]
    inner = inside[0][:, None] & inside[1][None, :]
    outer = ~(inside[2][:, None] & inside[3][None, :])
    brightness = image[0]
    least = brightness[inner].min().item() if inner.any() else 1.0
    return least, brightness[outer].max().item() if outer.any() else 0.0


def test_boxes_stay_on_their_targets() -> None:
    seen = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        try:
            sample = _sample(_frames(), BOXES, SEARCH_CONFIG, generator, "made")
        except UnusableSample:
            continue
        views = zip(
            [*sample.references, sample.search],
            [*sample.reference_boxes, sample.search_box],
            strict=True,
        )
        for (image, box), (_, _, width, _) in zip(views, BOXES, strict=True):
            inner, outer = _inner_and_outer(image, box, width)
            assert outer <= 20 / 255 * 1.2 + 1e-3
            assert inner >= 150 / 255 * 0.8 - 1e-3
        seen += 1
    assert seen > 50


def test_shapes_types_and_padding() -> None:
    sample = _sample(_frames(), BOXES, SEARCH_CONFIG, np.random.default_rng(1), "made")
    tensors = {k: v for k, v in sample._asdict().items() if isinstance(v, torch.Tensor)}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert shapes == {
        "search": (3, SIZE, SIZE),
        "search_mask": (SIZE, SIZE),
        "search_box": (4,),
        "references": (2, 3, SIZE, SIZE),
        "reference_masks": (2, SIZE, SIZE),
        "reference_boxes": (2, 4),
        "recent_boxes": (3, 4),
        "proposals": (16, 4),
        "proposal_iou": (16,),
    }
    assert sample.search_mask.dtype == sample.reference_masks.dtype == torch.bool
    assert sample.search.dtype == sample.proposals.dtype == sample.search_box.dtype == torch.float32
    assert sample.source == "made"
    images = [sample.search, *sample.references]
    masks = [sample.search_mask, *sample.reference_masks]
    for image, mask in zip(images, masks, strict=True):
        assert (image >= 0).all() and (image <= 1).all()
        assert mask.any() and not mask.all()
        edge = torch.nn.functional.max_pool2d((~mask)[None].float(), 5, 1, 2)[0] > 0
        assert (image[:, ~edge] == 0).all()


def test_first_reference_is_not_jittered() -> None:
    middle = ((SIZE - 1) / 2) / SIZE  # where the way in puts a window's centre
    moved = []
    for seed in range(20):
        sample = _sample(_frames(), BOXES, SEARCH_CONFIG, np.random.default_rng(seed), "made")
        first, second = sample.reference_boxes.numpy()
        side = np.ceil(np.sqrt(40 * 30) * 5)  # the window's, 174 pixels
        offset = np.abs(first[:2] + first[2:] / 2 - middle)
        assert offset[0] == pytest.approx(0, abs=1.01 / SIZE)  # a crop flip adds 1 / SIZE
        assert offset[1] == pytest.approx(0, abs=1e-6)
        assert first[2:] == pytest.approx([40 / side, 30 / side])
        moved.append(second[:2] + second[2:] / 2 - middle)
    assert np.abs(moved).max() > 0.2


def test_each_stage_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing random but the proposals: the search crop is the window of the flipped frame."""
    monkeypatch.setattr(processing, "draw_frame_transform", lambda g: FrameTransform(False, True))
    monkeypatch.setattr(
        processing, "draw_crop_transform", lambda g, flip: CropTransform(1.0, False)
    )
    config = SEARCH_CONFIG._replace(search=Jitter(0, 0))
    frames = _frames()
    sample = _sample(frames, BOXES, config, np.random.default_rng(0), "made")
    flipped = np.array([220 - 1 - 60 - 50, 80, 50, 36])  # of the search frame's box
    window = Crop.around(flipped, 5.0, SIZE)
    cropped = window.cut(np.ascontiguousarray(frames[2][:, ::-1]))
    assert torch.equal(sample.search_mask, torch.from_numpy(cropped.mask))
    expected = torch.from_numpy(cropped.image).permute(2, 0, 1) / 255
    assert torch.allclose(sample.search, expected, atol=1e-6)
    side = np.ceil(np.sqrt(50 * 36) * 5)  # 213
    size = np.array([50, 36]) / side
    assert sample.search_box.numpy() == pytest.approx([*((127 / 2) / 128 - size / 2), *size])


def test_proposals_lie_around_the_search_box_after_flips() -> None:
    boxes, centres = [], []
    for seed in range(100):
        sample = _sample(_frames(), BOXES, SEARCH_CONFIG, np.random.default_rng(seed), "made")
        assert (sample.proposal_iou > 2 * 0.1 - 1).all() and (sample.proposal_iou <= 1).all()
        area = sample.search_box[2:].prod().sqrt()
        offset = sample.proposals[:, :2] + sample.proposals[:, 2:] / 2
        offset = offset - sample.search_box[:2] - sample.search_box[2:] / 2
        centres.append(offset / area)
        boxes.append(sample.proposal_iou)
    assert torch.cat(centres).mean(0).abs().max() < 0.03
    assert -0.2 < torch.cat(boxes).mean() < 0.7


def test_window_without_a_pixel() -> None:
    boxes = np.array([[5.0, 5, 0, 0], *BOXES[1:]])
    with pytest.raises(UnusableSample, match="too small: its search window has no pixel"):
        _sample(_frames(), boxes, SEARCH_CONFIG, np.random.default_rng(0), "made")


def test_window_of_padding_alone() -> None:
    boxes = BOXES.copy()
    boxes[0] = [-5000, 10, 20, 20]
    with pytest.raises(UnusableSample, match="shows padding only"):
        _sample(_frames(), boxes, SEARCH_CONFIG, np.random.default_rng(0), "made")


def test_padding_alone_at_the_networks_stride(monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns 1..15 of the crop show the image; columns 0, 16 ..., which stride 16 sees, do not."""
    monkeypatch.setattr(processing, "draw_frame_transform", lambda g: FrameTransform(False, False))
    side = 128  # window and crop alike, around a box of 25.6 x 25.6
    frame = np.full((200, 16, 3), 255, np.uint8)
    # The window begins a column before the image and drops its last: columns 1..15 are not padding.
    box = np.array([-1 + side / 2 - 12.8, 100 - 12.8, 25.6, 25.6])
    mask = Crop.around(box, 5.0, SIZE).cut(frame).mask
    assert not mask.all() and mask[::16, ::16].all()
    with pytest.raises(UnusableSample, match="shows padding only"):
        _sample([frame] * 3, np.tile(box, (3, 1)), SEARCH_CONFIG, np.random.default_rng(0), "made")


def test_search_config_of_the_published_recipe() -> None:
    config = read_search_config(make_config())
    assert config == SearchConfig(320, 5.0, Jitter(0, 0), Jitter(4.5, 0.5))


def _plain_cut(window: Crop, frame: np.ndarray, change: FrameTransform) -> CropImage:
    """Cut from a whole frame that was changed before, with a border that is written."""
    if change.grey:
        frame = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if change.flip:
        frame = cv2.flip(frame, 1)
    top, left = (max(0, -start) for start in (window.y1, window.x1))
    height, width = frame.shape[:2]
    # Kept: the last row and column are dropped where the window touches them.
    bottom = max(0, window.y1 + window.side - height + 1)
    right = max(0, window.x1 + window.side - width + 1)
    shown = frame[
        window.y1 + top : window.y1 + window.side - bottom,
        window.x1 + left : window.x1 + window.side - right,
    ]
    if 0 in shown.shape:
        return CropImage(np.zeros((SIZE, SIZE, 3), np.uint8), np.ones((SIZE, SIZE), bool))
    padded = cv2.copyMakeBorder(shown, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
    mask = np.ones((window.side, window.side))
    mask[top : window.side - bottom, left : window.side - right] = 0
    return CropImage(cv2.resize(padded, (SIZE, SIZE)), cv2.resize(mask, (SIZE, SIZE)).astype(bool))


def test_samples_are_those_of_whole_frames_to_the_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 180, 220, 3), np.uint8)
    monkeypatch.setattr(transforms, "GREY", 0.3)

    def draw() -> list[Batch]:
        samples = []
        for seed in range(40):
            with contextlib.suppress(UnusableSample):
                samples.append(
                    _sample(noise, BOXES, SEARCH_CONFIG, np.random.default_rng(seed), "made")
                )
        return samples

    fast = draw()
    monkeypatch.setattr(processing, "cut_transformed", _plain_cut)
    plain = draw()
    assert len(fast) == len(plain) > 30
    for one, other in zip(fast, plain, strict=True):
        for name, value in one._asdict().items():
            expected = getattr(other, name)
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, expected), name
            else:
                assert value == expected


def test_windows_beside_the_target() -> None:
    """One in four shows nothing of the target, in the search frame alone; its proposals score 0."""
    config = SEARCH_CONFIG._replace(factor=2.0, search=Jitter(0.5, 0.1), absent=0.25)
    absent = 0
    for seed in range(80):
        try:
            sample = _sample(_frames(), BOXES, config, np.random.default_rng(seed), "made")
        except UnusableSample:
            continue
        for x, y, w, h in sample.reference_boxes.tolist():
            assert x < 1 and y < 1 and x + w > 0 and y + h > 0
        x, y, w, h = sample.search_box.tolist()
        if x >= 1 or y >= 1 or x + w <= 0 or y + h <= 0:
            absent += 1
            assert (sample.proposal_iou == -1).all()
            assert sample.search.max() <= 20 / 255 * 1.2 + 1e-3
        else:
            assert (sample.proposal_iou > -1).any()
    assert 8 <= absent <= 32


def test_marks_of_recent_references() -> None:
    draw = [np.random.default_rng(3) for _ in range(2)]
    plain = _sample(_frames(), BOXES, SEARCH_CONFIG, draw[0], "made")
    assert torch.equal(plain.recent_boxes[-1], plain.search_box)
    noisy = SEARCH_CONFIG._replace(recent=Jitter(0.4, 0.2))
    moved = _sample(_frames(), BOXES, noisy, draw[1], "made")
    assert torch.equal(moved.search_box, plain.search_box)
    shift = (moved.recent_boxes - plain.recent_boxes).abs().amax(1)
    assert (shift > 0.001).all() and (shift < 0.3).all()
    lost = SEARCH_CONFIG._replace(recent_lost=0.5)
    samples = [_sample(_frames(), BOXES, lost, draw[0], "made") for _ in range(20)]
    truth = [torch.cat([s.reference_boxes, s.search_box[None]]) for s in samples]
    shifts = [s.recent_boxes - boxes for s, boxes in zip(samples, truth, strict=True)]
    away = torch.cat([shift.any(1) for shift in shifts]).float().mean()
    assert 0.3 < away < 0.7
    sizes = torch.cat([boxes[:, 2:].prod(1).sqrt() for boxes in truth])
    assert 1 < (torch.cat(shifts)[:, :2].abs().amax(1) / sizes).max() < 2.5
