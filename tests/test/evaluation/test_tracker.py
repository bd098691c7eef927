"""Guards lock-step tracking: lengths that differ, failures that stay alone, frames read ahead."""

import gc
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from seeded import seeded_box, seeded_frame

from lib.config.aiatrack.config import make_config
from lib.models.aiatrack.aiatrack import AiATrack
from lib.test.evaluation import tracker as evaluation_tracker
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.tracker import SequenceRun, run_sequence, track_together
from lib.test.parameter.aiatrack import make_params
from lib.test.tracker.aiatrack import AiATrackTracker
from lib.utils.image import ImageError
from tests.conftest import TINY

LENGTHS = {"a": 9, "b": 5, "c": 1, "d": 7, "e": 4}
BATCH = 3


@pytest.fixture
def sequences(tmp_path: Path) -> list[Sequence]:
    """Clips that start in different frames."""
    made = []
    for first, (name, length) in enumerate(LENGTHS.items()):
        (tmp_path / name).mkdir()
        frames = [tmp_path / name / f"{t}.png" for t in range(length)]
        for t, path in enumerate(frames):
            cv2.imwrite(str(path), seeded_frame((first + t) % 10)[..., ::-1])
        made.append(Sequence(name, "own", tuple(frames), np.array([seeded_box(first)], float)))
    return made


@pytest.fixture
def trackers(tiny_model: AiATrack) -> list[AiATrackTracker]:
    """As many as are tracked at a time."""
    params = make_params(make_config(TINY), "otb", (4, 2, -1e9))
    lead = AiATrackTracker(tiny_model, params, torch.device("cpu"))
    return [lead, *(lead.for_new_target() for _ in range(BATCH - 1))]


def boxes_alone(tracker: AiATrackTracker, sequences: list[Sequence]) -> dict[str, np.ndarray]:
    return {s.name: run_sequence(tracker, s).boxes_xywh for s in sequences}


def check_boxes(runs: list[SequenceRun], expected: dict[str, np.ndarray]) -> None:
    for run in runs:
        name = run.sequence.name
        result = run.result()
        np.testing.assert_allclose(result.boxes_xywh, expected[name], atol=1e-3, err_msg=name)
        assert len(result.scores) == len(result.seconds) == LENGTHS[name]
        assert (result.seconds > 0).all()


def test_lengths_that_differ(
    trackers: list[AiATrackTracker], sequences: list[Sequence], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = boxes_alone(trackers[0], sequences)
    sizes, find = [], AiATrackTracker.track_batch

    def counting(together: list, views: list) -> list:
        sizes.append(len(together))
        return find(together, views)

    monkeypatch.setattr(AiATrackTracker, "track_batch", staticmethod(counting))
    runs = list(track_together(trackers, sequences))
    # c has one frame; d takes its place at once, e that of b after 4 steps, and ends 3 steps later.
    assert [run.sequence.name for run in runs] == ["c", "b", "d", "e", "a"]
    assert sizes == [2, 3, 3, 3, 3, 3, 3, 1]
    check_boxes(runs, expected)


def test_failures_stay_alone(trackers: list[AiATrackTracker], sequences: list[Sequence]) -> None:
    expected = boxes_alone(trackers[0], sequences)
    sequences[0].frames[4].write_bytes(b"")
    sequences[3] = sequences[3]._replace(boxes_xywh=np.array([[500.0, 10, 20, 20]]))
    runs = {run.sequence.name: run for run in track_together(trackers, sequences)}
    with pytest.raises(ImageError, match=r"4\.png: the file is empty"):
        runs.pop("a").result()
    with pytest.raises(ValueError, match="lies outside the 320 x 240 image"):
        runs.pop("d").result()
    check_boxes(list(runs.values()), expected)


def test_a_box_that_is_not_finite_stays_alone(
    trackers: list[AiATrackTracker], sequences: list[Sequence]
) -> None:
    expected = boxes_alone(trackers[0], sequences)

    def spoil(run: SequenceRun, image: np.ndarray) -> None:
        if run.sequence.name == "b" and len(run.outputs) == 3:
            run.tracker.box = [float("nan")] * 4

    runs = {run.sequence.name: run for run in track_together(trackers, sequences, spoil)}
    with pytest.raises(ValueError, match="a box is 4 finite numbers"):
        runs.pop("b").result()
    check_boxes(list(runs.values()), expected)


def test_a_step_that_fails_is_a_failure_of_all_in_it(
    trackers: list[AiATrackTracker], sequences: list[Sequence], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = boxes_alone(trackers[0], sequences)
    steps, find = [], AiATrackTracker.track_batch

    def failing(together: list, views: list) -> list:
        steps.append(len(together))
        if len(steps) == 2:
            raise RuntimeError("out of memory")
        return find(together, views)

    monkeypatch.setattr(AiATrackTracker, "track_batch", staticmethod(failing))
    runs = {run.sequence.name: run for run in track_together(trackers, sequences)}
    for name in ("a", "b", "d"):
        with pytest.raises(RuntimeError, match="out of memory"):
            runs.pop(name).result()
    check_boxes(list(runs.values()), expected)
    assert set(runs) == {"c", "e"}


def test_at_most_two_frames_of_a_sequence_are_in_memory(
    trackers: list[AiATrackTracker], sequences: list[Sequence], monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[weakref.ref] = []
    read, most = evaluation_tracker.read_frame, []

    def reading(path: Path) -> np.ndarray:
        image = read(path)
        alive.append(weakref.ref(image))
        return image

    def count(run: SequenceRun, image: np.ndarray) -> None:
        gc.collect(0)
        most.append(sum(ref() is not None for ref in alive))

    monkeypatch.setattr(evaluation_tracker, "read_frame", reading)
    list(track_together(trackers, sequences, count))
    assert len(alive) == sum(LENGTHS.values()) and max(most) <= 2 * BATCH


def test_boxes_that_look_like_corners_are_doubted(sequences, trackers, caplog) -> None:
    good, bad = sequences[3]._replace(name="good"), sequences[4]
    height, width = seeded_frame(0).shape[:2]
    bad = bad._replace(boxes_xywh=np.array([[width / 2, height / 2, width * 0.9, height * 0.9]]))
    assert len(list(track_together(trackers[:2], [good, bad]))) == 2
    assert "e: boxes look like x1,y1,x2,y2" in caplog.text and "good:" not in caplog.text
