"""Guards the way from files to scores: both layouts, missing and wrong files, several runs."""

import math

import pytest

from lib.test.analysis.extract_results import Run, ScoringError, common_sequences, extract, figures
from lib.test.evaluation.datasets import open_annotations
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


def test_every_wrong_file_is_named(tmp_path, annotations):
    run = made_up.results(tmp_path / "run", NAMES)
    made_up.write(run / "airplane-1.txt", "1,2,3,4\n1,2,3,4\n")
    made_up.write(run / "airplane-9.txt", "1,2,3,4\n1,2,3,oops\n")
    with pytest.raises(ScoringError) as error:
        extract(annotations, [Run("a", (run,))], ["lasot"])
    lines = str(error.value).splitlines()
    assert len(lines) == 2
    assert any("airplane-9.txt, line 2: 'oops' is not a number" in line for line in lines)
    assert any(
        "airplane-1.txt: airplane-1: the result has 2 boxes, the annotation 3" in line
        for line in lines
    )


def test_wrong_annotation_is_named(tmp_path, annotations):
    run = made_up.results(tmp_path / "run", NAMES)
    made_up.write(tmp_path / "data" / "absent" / "airplane-1.txt", "0\n0\n")
    with pytest.raises(ScoringError, match="airplane-1: 2 visibility flags for 3 boxes"):
        extract(annotations, [Run("a", (run,))], ["lasot"])
