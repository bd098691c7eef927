"""Guards which frames count as lost, and which score tells them from the others."""

from pathlib import Path

import numpy as np
import pytest

from lib.test.analysis.lost import (
    Frames,
    best_threshold,
    evaluate_thresholds,
    label_frames,
    read_frames,
)
from lib.test.evaluation.base_set import TestSet
from lib.test.evaluation.data import Truth
from lib.test.evaluation.results import ResultFolder, SequenceResult

BOX = [10.0, 10.0, 20.0, 20.0]
AWAY = [25.0, 25.0, 20.0, 20.0]  # intersection 5 x 5, union 775: an overlap of 0.03


def truth(boxes: list, visible: list | None = None) -> Truth:
    flags = None if visible is None else np.array(visible)
    return Truth("walk", "demo", np.array(boxes), flags)


def test_frames_that_are_lost() -> None:
    nothing = [0.0, 0.0, 0.0, 0.0]
    nan = [np.nan] * 4
    #         given  followed  missed  hidden  no box, not said to be hidden
    annotated = truth([BOX, BOX, BOX, nothing, nan], [True, True, True, False, True])
    boxes = np.array([AWAY, BOX, AWAY, BOX, BOX])
    frames = label_frames(annotated, boxes, np.array([1, 0.9, 0.8, 0.7, 0.6]))
    assert frames.scores.tolist() == [0.9, 0.8, 0.7]
    assert frames.lost.tolist() == [False, True, True]


def test_without_flags_only_overlap_counts() -> None:
    frames = label_frames(truth([BOX] * 3), np.array([BOX, BOX, AWAY]), np.array([1, 0.9, 0.2]))
    assert frames.lost.tolist() == [False, True]


def test_thresholds_by_hand() -> None:
    frames = Frames(np.array([0.1, 0.5, 0.6, 0.9]), np.array([True, True, False, False]))
    low, high = evaluate_thresholds(frames, [0.3, 0.7])
    assert (low.found, low.kept, low.balanced) == (0.5, 1.0, 0.75)
    assert (high.found, high.kept, high.balanced) == (1.0, 0.5, 0.75)
    # 0.51 to 0.60 separate the two kinds: the middle one is taken
    assert (
        best_threshold(evaluate_thresholds(frames)).balanced == 1.0
        and best_threshold(evaluate_thresholds(frames)).value == 0.56
    )


@pytest.mark.parametrize("lost", [True, False])
def test_nothing_to_tell_apart(lost: bool) -> None:
    with pytest.raises(ValueError, match=r"[03] of 3 frames are lost: nothing to tell apart"):
        evaluate_thresholds(Frames(np.zeros(3), np.full(3, lost)))


def test_results_on_disk(tmp_path: Path) -> None:
    annotations = TestSet("demo", tmp_path, ("walk", "run"))
    for name in annotations.names:
        (tmp_path / name).mkdir()
        text = "".join(",".join(map(str, BOX)) + "\n" for _ in range(3))
        (tmp_path / name / "groundtruth.txt").write_text(text)
    folder = ResultFolder(tmp_path, "aiatrack", "tiny", "demo")
    with pytest.raises(FileNotFoundError, match="no result of any sequence of demo"):
        read_frames(annotations, folder.path)
    result = SequenceResult(np.array([BOX, BOX, AWAY]), np.array([1, 0.75, 0.25]), np.zeros(3))
    folder.save("walk", result, {})
    frames, problems = read_frames(annotations, folder.path)
    assert frames.scores.tolist() == [0.75, 0.25] and frames.lost.tolist() == [False, True]
    folder.save("run", result, {})
    frames, problems = read_frames(annotations, folder.path)
    assert frames.scores.tolist() == [0.75, 0.25] * 2 and not problems
    # What is wrong is left out and named.
    (folder.path / "walk_score.txt").write_text("1\n")
    frames, (problem,) = read_frames(annotations, folder.path)
    assert frames.scores.tolist() == [0.75, 0.25] and "walk_score.txt: changed since" in problem
    (folder.path / "walk_run.json").unlink()
    _, (problem,) = read_frames(annotations, folder.path)
    assert problem == "walk: 3 boxes and 1 scores for 3 annotated frames"
    (folder.path / "run_score.txt").unlink()
    with pytest.raises(ValueError, match=r"walk: 3 boxes and 1 scores(.|\n)*run_score\.txt"):
        read_frames(annotations, folder.path)
