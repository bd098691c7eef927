"""Guards what Python users call: kinds of images and sources, following, corrections, states."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
from made_videos import number_of, numbered_frame, write_timed
from seeded import seeded_box, seeded_frame

from lib.io.video.codecs import VideoError
from lib.test.tracker import Output, load_tracker
from lib.test.tracker.aiatrack import AiATrackTracker
from lib.test.tracker.detections import to_detections
from lib.test.tracker.following import numbered_boxes
from lib.test.tracker.inputs import as_rgb, as_source
from lib.test.tracker.targets import State

FRAME = seeded_frame(0)
BOX = [20.0, 20, 30, 20]


@pytest.fixture
def tracker(tiny_recipe: Path, tiny_checkpoint: Path) -> AiATrackTracker:
    """A small tracker that remembers every frame."""
    return load_tracker(tiny_recipe, tiny_checkpoint, device="cpu", hyper=(5, 3, -1e9))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Twelve numbered frames."""
    return write_timed(tmp_path / "clip.mp4", 12)


def picture_file(folder: Path) -> Path:
    cv2.imwrite(str(folder / "a.png"), FRAME[..., ::-1])
    return folder / "a.png"


TENSOR = torch.from_numpy(FRAME).permute(2, 0, 1)
SAME: dict[str, Callable[[Path], Any]] = {
    "array": lambda folder: FRAME,
    "path": picture_file,
    "name": lambda folder: str(picture_file(folder)),
    "PIL": lambda folder: PIL.Image.fromarray(FRAME),
    "RGBA": lambda folder: PIL.Image.fromarray(FRAME).convert("RGBA"),
    "tensor": lambda folder: TENSOR,
    "batch of one": lambda folder: TENSOR[None],
    "floats": lambda folder: TENSOR / 255,
}


@pytest.mark.parametrize("kind", SAME)
def test_images_of_every_kind_are_the_same(tmp_path: Path, kind: str) -> None:
    np.testing.assert_array_equal(as_rgb(SAME[kind](tmp_path)), FRAME)


def test_bgr_is_said(tracker: AiATrackTracker) -> None:
    tracker.initialize(FRAME, seeded_box(0))
    expected = tracker.track(seeded_frame(1))
    tracker.initialize(FRAME[..., ::-1], seeded_box(0), bgr=True)
    assert tracker.track(seeded_frame(1)[..., ::-1], bgr=True) == expected
    (step,) = tracker.follow([TENSOR.flip(0)], seeded_box(0), bgr=True)
    np.testing.assert_array_equal(step.image, FRAME)


REFUSED = [
    (lambda: TENSOR[:1], "a tensor of an image has shape.*this one has"),
    (lambda: torch.from_numpy(FRAME), "a tensor of an image has shape.*this one has"),
    (lambda: TENSOR.float(), r"this one goes from \d+ to \d+"),
    (lambda: torch.full((3, 4, 4), float("nan")), "this one goes from nan"),
    (lambda: PIL.Image.new("I;16", (4, 4)), "PIL mode is 'I;16'"),
    (lambda: FRAME[..., 0], "an image has shape"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_images_that_are_none(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_rgb(make())


def test_other_refusals(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bgr is for arrays and tensors"):
        as_rgb(PIL.Image.fromarray(FRAME), bgr=True)
    with pytest.raises(TypeError, match="an image is a uint8"):
        as_rgb(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a source of frames is a name or holds images"):
        as_source(7)  # type: ignore[arg-type]
    with pytest.raises(VideoError, match="images: there is none"):
        list(as_source([]))
    with pytest.raises(ValueError, match=r"frame 1: .*an image has shape"):
        list(as_source([FRAME, FRAME[..., 0]]))


def test_output_has_names_and_unpacks() -> None:
    output = Output([1.0, 2, 3, 4], 0.2, lost=True)
    box, score = output
    assert (output.box_xywh, output.box, output.score, output.lost) == (box, box, score, True)


def test_lost_is_below_the_threshold(tiny_recipe: Path, tiny_checkpoint: Path) -> None:
    for threshold, lost in ((0.0, False), (1.0, True)):
        tracker = load_tracker(tiny_recipe, tiny_checkpoint, device="cpu", lost_below=threshold)
        tracker.initialize(FRAME, seeded_box(0))
        assert tracker.track(seeded_frame(1)).lost is lost
    with pytest.raises(ValueError, match=r"lost_below must be in \[0, 1\]; given: 2"):
        load_tracker(tiny_recipe, tiny_checkpoint, lost_below=2)


def generator() -> Iterator[np.ndarray]:
    yield from (numbered_frame(number) for number in range(12))


SOURCES: dict[str, Callable[[Path], Any]] = {
    "name": str,
    "path": lambda video: video,
    "list": lambda video: list(generator()),
    "array": lambda video: np.stack(list(generator())),
    "tensor": lambda video: torch.from_numpy(np.stack(list(generator()))).permute(0, 3, 1, 2),
    "generator": lambda video: generator(),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_following_forwards(tracker: AiATrackTracker, video: Path, kind: str) -> None:
    steps = list(tracker.follow(SOURCES[kind](video), [BOX, [50, 20, 20, 20]]))
    assert [step.number for step in steps] == list(range(12))
    assert [number_of(step.image) for step in steps] == list(range(12))
    assert [step.seconds for step in steps] == pytest.approx(np.arange(12) / 25)
    assert [[t.target for t in step.targets] for step in steps] == [[1, 2]] * 12
    assert steps[0].targets[0] == State(1, BOX, None, False)
    assert all(state.score is not None for state in steps[1].targets)


@pytest.mark.parametrize("kind", ["path", "list", "array"])
def test_following_from_any_frame_either_way(
    tracker: AiATrackTracker, video: Path, kind: str
) -> None:
    source = SOURCES[kind](video)
    cases = [  # start, backwards: frames
        ((7, True), range(7, -1, -1)),
        ((None, True), range(11, -1, -1)),
        ((9, False), range(9, 12)),
    ]
    for (start, backwards), expected in cases:
        steps = list(tracker.follow(source, BOX, start=start, backwards=backwards))
        assert [number_of(step.image) for step in steps] == list(expected)
        assert [step.seconds for step in steps] == pytest.approx(np.array(expected) / 25)
    for start in (12, -1):
        with pytest.raises(IndexError, match=f"has the frames 0 to 11; wanted: {start}"):
            next(tracker.follow(source, BOX, start=start))


def test_there_is_no_way_back_in_a_stream(tracker: AiATrackTracker) -> None:
    with pytest.raises(ValueError, match="come once and in order"):
        tracker.follow(generator(), BOX, backwards=True)


def test_corrections(tracker: AiATrackTracker) -> None:
    """A corrected target goes on as one that started there; others go on as they were."""
    frames = [seeded_frame(t) for t in range(6)]
    plain = list(tracker.follow(frames, [seeded_box(0), [50, 40, 30, 30]]))
    fresh = list(tracker.follow(frames, {2: BOX}, start=2))
    with tracker.follow(frames, [seeded_box(0), [50, 40, 30, 30]]) as steps:
        with pytest.raises(RuntimeError, match=r"call next\(\) before correct"):
            steps.correct({2: BOX})
        next(steps), next(steps), next(steps)
        with pytest.raises(ValueError, match="target 2: the target's width"):
            steps.correct({1: BOX, 2: [1, 1, 0, 0]})  # changes neither
        assert steps.correct([None, BOX]).targets[1] == State(2, BOX, None, False)
        third = steps.send(None)
        fourth = steps.send({3: [10, 10, 20, 20]})
        assert [state.target for state in fourth.targets] == [1, 2, 3]
        steps.drop(1)
        assert [state.target for state in next(steps).targets] == [2, 3]
        assert list(steps) == []
    assert third.targets[0].box_xywh == pytest.approx(plain[3].targets[0].box_xywh, abs=1e-3)
    assert third.targets[1].box_xywh == pytest.approx(fresh[1].targets[0].box_xywh, abs=1e-3)


@pytest.mark.parametrize("boxes", [[], {}, [None], lambda image: []])
def test_nothing_to_start_on(tracker: AiATrackTracker, boxes: Any) -> None:
    with pytest.raises(ValueError, match="there is no box to start on"):
        next(tracker.follow([FRAME], boxes))
    with pytest.raises(ValueError, match="boxes are lists of x, y, w, h; given: None"):
        next(tracker.follow([FRAME], None))


def test_following_leaves_the_trackers_own_video_alone(tracker: AiATrackTracker) -> None:
    tracker.initialize(FRAME, seeded_box(0))
    list(tracker.follow([FRAME, FRAME], BOX))
    assert tracker.box == [float(v) for v in seeded_box(0)]


def test_a_saved_state_goes_on_to_the_bit(
    tracker: AiATrackTracker, tmp_path: Path, tiny_recipe: Path, tiny_checkpoint: Path
) -> None:
    path = tmp_path / "new" / "walk.state"
    with pytest.raises(RuntimeError, match="call initialize"):
        tracker.save_state(path)
    tracker.initialize(FRAME, seeded_box(0))
    for t in range(1, 8):  # the memory of five frames is full
        tracker.track(seeded_frame(t))
    tracker.save_state(path)
    expected = [tracker.track(seeded_frame(t)) for t in range(8, 12)]
    other = load_tracker(
        tiny_recipe, tiny_checkpoint, device="cpu", hyper=(5, 3, -1e9), lost_below=1.0
    )
    other.load_state(path)
    assert (other.raw_score, len(other.memory)) == (pytest.approx(other.raw_score), 5)
    assert [other.track(seeded_frame(t)) for t in range(8, 12)] == expected


def test_states_that_do_not_belong(
    tracker: AiATrackTracker, tmp_path: Path, tiny_recipe: Path, tiny_checkpoint: Path
) -> None:
    path = tmp_path / "a.state"
    tracker.initialize(FRAME, seeded_box(0))
    tracker.save_state(path)
    before = list(tracker.box)
    with pytest.raises(FileNotFoundError, match=r"none\.state"):
        tracker.load_state(tmp_path / "none.state")
    others = load_tracker(tiny_recipe, tiny_checkpoint, device="cpu", hyper=(6, 3, -1e9))
    with pytest.raises(ValueError, match="saved by a tracker with another settings"):
        others.load_state(path)
    with torch.no_grad():
        next(tracker.model.box_head.parameters()).add_(1)
    with pytest.raises(ValueError, match="saved by a tracker with another network"):
        tracker.load_state(path)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    for damaged in (bytes(content), bytes(content[:-9]), b"", b"text"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a\.state: (damaged|not the state of a tracker)"):
            tracker.load_state(path)
    with pytest.raises(ValueError, match=r"tiny.*: not the state of a tracker"):
        tracker.load_state(tiny_recipe)
    assert tracker.box == before


def test_detections_in(tracker: AiATrackTracker) -> None:
    corners = np.array([[20, 20, 50, 40], [50, 20, 70, 40]], np.float32)
    detections = SimpleNamespace(xyxy=corners, tracker_id=None)
    assert numbered_boxes(detections) == {1: [20, 20, 30, 20], 2: [50, 20, 20, 20]}
    detections.tracker_id = np.array([7, 3])
    (step,) = tracker.follow([FRAME], lambda image: detections)
    assert [state.target for state in step.targets] == [3, 7]
    with pytest.raises(ValueError, match="there is no box"):
        next(tracker.follow([FRAME], SimpleNamespace(xyxy=np.empty((0, 4)))))


STATES = [State(3, [1, 2, 3, 4], None, False), State(5, [5, 6, 7, 8], 0.5, True)]


def test_detections_out() -> None:
    supervision = pytest.importorskip("supervision", reason="pip install supervision")
    made = to_detections(STATES, lost=True)
    assert isinstance(made, supervision.Detections)
    assert made.xyxy.tolist() == [[1, 2, 4, 6], [5, 6, 12, 14]]
    assert made.tracker_id.tolist() == [3, 5] and made.confidence.tolist() == [1, 0.5]
    assert to_detections(STATES).tracker_id.tolist() == [3] and len(to_detections([])) == 0
    assert numbered_boxes(made) == {3: [1, 2, 3, 4], 5: [5, 6, 7, 8]}


def test_detections_out_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ImportError, match="pip install supervision"):
        to_detections(STATES)


def blocks_of_the_page() -> list[tuple[str, str]]:
    """Sections of docs/api.md and their code."""
    text = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    return re.findall(r"## ([^\n]+)\n(?:(?!## ).)*?```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.slow
def test_the_page_of_the_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its examples, one after another, in one session."""
    monkeypatch.chdir(tmp_path)
    write_timed(tmp_path / "clip.mp4", 5)
    Path("frames").mkdir()
    for number in range(1, 4):
        cv2.imwrite(f"frames/{number:04d}.jpg", numbered_frame(number))
    blocks, names = blocks_of_the_page(), {}
    assert len(blocks) == 7
    for title, code in blocks:
        try:
            exec(compile(code, title, "exec"), names)
        except ModuleNotFoundError as error:
            assert error.name == "supervision", title
    assert sorted(names["track"]) == list(range(5))
    states = sorted(state.target for state in names["rest"][-1].targets)
    assert states == [1, 3]
    assert Path("target.state").stat().st_size > 100_000
