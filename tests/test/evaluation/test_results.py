"""Guards result files: their formats, and what counts as finished."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from lib.test.evaluation.results import ResultFolder, SequenceResult, box_file, score_file, verified

PROVENANCE = {"checkpoint": "abc", "device": "cpu"}


@pytest.fixture
def result() -> SequenceResult:
    boxes = np.array([[1.9, 2.0, 30.99, 40.5], [-3.7, 0.2, 10, 12.25]])
    return SequenceResult(boxes, np.array([1.0, 0.25]), np.array([0.5, 0.0625]))


@pytest.fixture
def folder(tmp_path: Path, result: SequenceResult) -> ResultFolder:
    folder = ResultFolder(tmp_path, "aiatrack", "baseline", "otb")
    folder.save("otb_A", result, PROVENANCE)
    return folder


def test_files(folder: ResultFolder, tmp_path: Path) -> None:
    assert folder.path == tmp_path / "aiatrack" / "baseline" / "otb"
    read = {p.name: p.read_text() for p in folder.path.glob("[!.]*")}
    assert read.pop("otb_A_run.json")
    assert read == {
        "otb_A.txt": "1,2,30,40\n-3,0,10,12\n",  # cut toward zero
        "otb_A_box.txt": "1.9000,2.0000,30.9900,40.5000\n-3.7000,0.2000,10.0000,12.2500\n",
        "otb_A_score.txt": "1.000000\n0.250000\n",
        "otb_A_time.txt": "0.500000\n0.062500\n",
    }


def test_finished(folder: ResultFolder) -> None:
    assert folder.is_finished("otb_A", 2, PROVENANCE)
    assert not folder.is_finished("otb_A", 3, PROVENANCE)
    assert not folder.is_finished("otb_A", 2, {**PROVENANCE, "checkpoint": "other"})
    assert not folder.is_finished("otb_B", 2, PROVENANCE)


@pytest.mark.parametrize("suffix", [".txt", "_box.txt", "_score.txt", "_time.txt"])
@pytest.mark.parametrize("damage", ["cut", "gone", "of another run"])
def test_damaged_files_do_not_count(folder: ResultFolder, suffix: str, damage: str) -> None:
    path = folder.path / f"otb_A{suffix}"
    if damage == "cut":
        path.write_text(path.read_text()[:-3])
    elif damage == "gone":
        path.unlink()
    else:
        path.write_text(path.read_text().replace("0", "9"))
    assert not folder.is_finished("otb_A", 2, PROVENANCE)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"frames": 2}', '{"sha256": {}, "frames": 2}'])
def test_damaged_records_do_not_count(folder: ResultFolder, text: str) -> None:
    (folder.path / "otb_A_run.json").write_text(text)
    assert not folder.is_finished("otb_A", 2, PROVENANCE)


def test_a_record_says_what_made_it(folder: ResultFolder) -> None:
    record = json.loads((folder.path / "otb_A_run.json").read_text())
    assert record["sequence"] == "otb_A" and record["frames"] == 2
    assert record["provenance"] == PROVENANCE


def test_saving_again_replaces(folder: ResultFolder, result: SequenceResult) -> None:
    longer = SequenceResult(*(np.concatenate([x, x]) for x in result))
    folder.save("otb_A", longer, PROVENANCE)
    assert folder.is_finished("otb_A", 4, PROVENANCE)
    assert len(list(folder.path.glob("[!.]*"))) == 5


@pytest.mark.parametrize("text", ["[" * 10**6, None])
def test_a_record_that_is_deep_or_a_pipe_does_not_count(folder: ResultFolder, text: str) -> None:
    record = folder.path / "otb_A_run.json"
    record.unlink()
    os.mkfifo(record) if text is None else record.write_text(text)
    assert not folder.is_finished("otb_A", 2, PROVENANCE)


@pytest.mark.parametrize("ending", ["_box", "_score", "_time"])
@pytest.mark.parametrize("first", [0, 1])
def test_no_two_sequences_share_a_file(
    tmp_path: Path, result: SequenceResult, ending: str, first: int
) -> None:
    """`walk_box.txt` is the file of `walk`'s floats, whichever is saved first."""
    names = ["walk", f"walk{ending}", f"walk{ending}{ending}"]
    folder = ResultFolder(tmp_path, "aiatrack", "baseline", "own")
    for name in sorted(names, reverse=bool(first)):
        shifted = result._replace(boxes_xywh=result.boxes_xywh + len(name))
        folder.save(name, shifted, PROVENANCE)
    for name in names:
        assert folder.is_finished(name, 2, PROVENANCE)
        path = verified(box_file(folder.path, name), name)
        assert path.read_text().startswith(f"{int(1.9 + len(name))},")
        assert verified(score_file(folder.path, name), name).read_text().startswith("1.000000")


def test_flat_files_of_other_trackers(tmp_path: Path, folder: ResultFolder) -> None:
    (tmp_path / "walk.txt").write_text("")
    (tmp_path / "walk_box.txt").write_text("")
    assert box_file(tmp_path, "walk_box") == tmp_path / "walk_box.txt"
    # beside a result of ours it is the other sequence's
    assert box_file(folder.path, "otb_A_box") == folder.path / "otb_A_box" / "otb_A_box.txt"
