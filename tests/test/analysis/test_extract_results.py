"""Guards the way from files to scores: both layouts, missing, wrong and changed files, runs."""

import math
import os

import numpy as np
import pytest

from lib.test.analysis.extract_results import Run, common_sequences, extract, figures
from lib.test.evaluation.datasets import open_annotations
from lib.test.evaluation.results import ResultFolder, SequenceResult
from tests.test import made_up_sets as made_up

NAMES = ["airplane-1", "airplane-9"]


@pytest.fixture
def annotations(tmp_path):
    return open_annotations("lasot", made_up.lasot_toolkit(tmp_path / "data", NAMES))


def test_both_layouts_give_the_same(tmp_path, annotations):
    own, official = tmp_path / "own", tmp_path / "official"
    made_up.results(own / "lasot", NAMES)
    made_up.results(official, NAMES)
    first, second = extract(annotations, [Run("a", (own,)), Run("b", (official,))], ["lasot"])
    assert first.folder == own / "lasot" and second.folder == official
    assert list(first.scores) == NAMES
    assert figures(list(first.scores.values())) == figures(list(second.scores.values()))


def test_layouts_are_never_mixed(tmp_path, annotations):
    made_up.results(tmp_path / "run" / "lasot", NAMES[:1])
    made_up.results(tmp_path / "run", NAMES)
    (evaluation,) = extract(annotations, [Run("a", (tmp_path / "run",))], ["lasot"])
    assert list(evaluation.scores) == NAMES[:1]
    assert evaluation.missing[NAMES[1]] == "no result"


def test_official_folder_of_got10k(tmp_path):
    names = ["GOT-10k_Val_000001"]
    annotations = open_annotations("got10k_val", made_up.got10k_val(tmp_path / "data", names))
    made_up.results(tmp_path / "run" / "got10k", names)
    (evaluation,) = extract(annotations, [Run("a", (tmp_path / "run",))], ["got10k"])
    values = figures(list(evaluation.scores.values()))
    # one frame counts: the first is dropped, the last is covered
    assert evaluation.scores[names[0]].frames == 1
    assert values["AO"] == 100 and values["OP50"] == 100 and values["OP75"] == 100
    assert "P" not in values and "NormP" not in values


def test_figures_are_means_over_sequences_in_percent(tmp_path, annotations):
    # airplane-1 is perfect in its two visible of three frames; airplane-9 is off by 100 px in one
    made_up.results(tmp_path / "run", NAMES[:1])
    made_up.results(tmp_path / "run", NAMES[1:], shift=100)
    (evaluation,) = extract(annotations, [Run("a", (tmp_path / "run",))], ["lasot"])
    values = figures(list(evaluation.scores.values()))
    # OP50: (2/3 + 1/3) / 2; AUC: a perfect frame is above 20 of 21 thresholds
    assert values["OP50"] == pytest.approx(50) and values["P"] == pytest.approx(50)
    assert values["AUC"] == pytest.approx(50 * 20 / 21)
    assert all(math.isfinite(value) for value in values.values())


def test_missing_results_and_annotations_have_reasons(tmp_path, annotations):
    made_up.results(tmp_path / "run", [*NAMES, "airplane-13"])
    (tmp_path / "data" / "absent" / "airplane-9.txt").unlink()
    (evaluation,) = extract(annotations, [Run("a", (tmp_path / "run",))], ["lasot"])
    assert list(evaluation.scores) == NAMES[:1]
    assert len(evaluation.missing) == 279
    assert evaluation.missing["airplane-15"] == "no result"
    assert evaluation.missing["airplane-13"].startswith("no annotation: ")
    assert evaluation.missing["airplane-9"].endswith("airplane-9.txt")


def test_no_results_at_all(tmp_path, annotations):
    (evaluation,) = extract(annotations, [Run("a", (tmp_path / "nowhere",))], ["lasot"])
    assert evaluation.folder is None and not evaluation.scores and len(evaluation.missing) == 280
    assert figures([]) == {}


def test_runs_are_compared_on_common_sequences(tmp_path, annotations):
    made_up.results(tmp_path / "a", NAMES)
    made_up.results(tmp_path / "b", NAMES[1:])
    runs = [Run("a", (tmp_path / "a",)), Run("b", (tmp_path / "b",))]
    assert common_sequences(extract(annotations, runs, ["lasot", "otb"])) == NAMES[1:]


BAD_RESULTS = {  # content of a result file -> what the message says
    "short": (
        "1,2,3,4\n" * 2,
        "airplane-9.txt: airplane-9: the result has 2 boxes, the annotation",
    ),
    "text": ("1,2,3,4\n1,2,3,oops\n", "airplane-9.txt, line 2: 'oops' is not a number"),
    "columns": ("1,2,3\n" * 3, "airplane-9.txt, line 1: 3 numbers, expected 4"),
    "binary": (b"\xff\xfe\x00" * 9, "airplane-9.txt: not a text file"),
    "folder": (None, "Is a directory"),
    "pipe": (os.mkfifo, "not a regular file"),
}
BAD_TRUTHS = {
    "flags": ("absent/airplane-9.txt", "0\n0\n", "airplane-9: 2 visibility flags for 3 boxes"),
    "one box": ("annos/airplane-9.txt", "1,2,3,4\n", "airplane-9.txt holds the first box only"),
    "no box": ("annos/airplane-9.txt", "", "airplane-9: the annotation is empty"),
    "text": ("annos/airplane-9.txt", "a box\n", "line 1: 'a' is not a number"),
}


@pytest.mark.parametrize("kind", BAD_RESULTS)
def test_a_bad_result_counts_as_missing(tmp_path, annotations, kind):
    run, (content, message) = made_up.results(tmp_path / "run", NAMES), BAD_RESULTS[kind]
    path = run / "airplane-9.txt"
    path.unlink()
    if content is None:
        path.mkdir()
    elif callable(content):
        content(path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (evaluation,) = extract(annotations, [Run("a", (run,))], ["lasot"])
    assert list(evaluation.scores) == ["airplane-1"] and len(evaluation.missing) == 279
    assert message in evaluation.missing["airplane-9"]


@pytest.mark.parametrize("kind", BAD_TRUTHS)
def test_a_bad_annotation_stops_itself_alone(tmp_path, annotations, kind):
    run, (path, text, message) = made_up.results(tmp_path / "run", NAMES), BAD_TRUTHS[kind]
    made_up.write(tmp_path / "data" / path, text)
    (evaluation,) = extract(annotations, [Run("a", (run,))], ["lasot"])
    assert list(evaluation.scores) == ["airplane-1"]
    assert message in evaluation.missing["airplane-9"]


@pytest.mark.parametrize("text", ["no section", "[METAINFO]\nresolution\n", "[A]\n[METAINFO", ""])
def test_an_odd_meta_file_stops_its_sequence_alone(tmp_path, text):
    annotations = open_annotations("got10k_val", made_up.got10k_val(tmp_path / "data", ["a", "b"]))
    made_up.write(tmp_path / "data" / "val" / "b" / "meta_info.ini", text)
    run = made_up.results(tmp_path / "run", ["a", "b"])
    (evaluation,) = extract(annotations, [Run("r", (run,))], ["got10k"])
    assert list(evaluation.scores) == ["a"] and "meta_info.ini: " in evaluation.missing["b"]


def test_what_one_protocol_cannot_score_another_may(tmp_path, annotations):
    run = made_up.results(tmp_path / "run", NAMES)
    made_up.write(run / "airplane-9.txt", "1,2,3,4\n")
    lasot, otb = extract(annotations, [Run("a", (run,))], ["lasot", "otb"])
    assert "airplane-9" in lasot.missing and "airplane-9" in otb.scores
    assert common_sequences([lasot, otb]) == ["airplane-1"]


@pytest.fixture
def recorded(tmp_path, annotations):
    """Results as tracking/test.py writes them, with digests."""
    folder = ResultFolder(tmp_path, "t", "c", "lasot")
    boxes = np.array([[10, 20, 30, 40], [12, 22, 30, 40], [14, 24, 30, 40.0]])
    for name in NAMES:
        folder.save(name, SequenceResult(boxes, np.ones(3), np.zeros(3)), {})
    return folder.path


CHANGES = {
    "last digit": (lambda path: path.write_text(path.read_text()[:-2] + "\n"), "changed since it"),
    "same length": (lambda path: path.write_text(path.read_text().replace("24", "25")), "changed"),
    "record": (
        lambda path: path.with_name("airplane-9_run.json").write_text("{"),
        "cannot be read",
    ),
    "deep record": (
        lambda path: path.with_name("airplane-9_run.json").write_text("[" * 10**6),
        "cannot be read",
    ),
    "no digest": (
        lambda path: path.with_name("airplane-9_run.json").write_text('{"sha256": {}}'),
        "cannot be read (KeyError",
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_result_that_changed_since_it_was_written_counts_as_missing(annotations, recorded, kind):
    runs, (change, message) = [Run("a", (recorded.parent,))], CHANGES[kind]
    assert list(extract(annotations, runs, ["lasot"])[0].scores) == NAMES
    change(recorded / "airplane-9.txt")
    (evaluation,) = extract(annotations, runs, ["lasot"])
    assert list(evaluation.scores) == ["airplane-1"]
    assert message in evaluation.missing["airplane-9"]
    (recorded / "airplane-9_run.json").unlink()  # without a record the file is taken as it is
    assert list(extract(annotations, runs, ["lasot"])[0].scores) == NAMES
