"""Guards tables of scores in their four formats, comparisons and plots."""

import csv
import io

import pytest

from lib.test.analysis import tables
from lib.test.analysis.compare import compare_runs, differences, protocols_text, runs_text
from lib.test.analysis.extract_results import FIGURES, Run, extract
from lib.test.analysis.plot_results import PLOTS, draw, plot_all
from lib.test.evaluation.datasets import open_annotations
from tests.test import made_up_sets as made_up

NAMES = ["airplane-1", "airplane-9", "zebra-10"]


@pytest.fixture
def evaluations(tmp_path):
    """Two runs: `old_run` is off by 15 px in all, `new` in zebra-10 by 30 px."""
    annotations = open_annotations("lasot", made_up.lasot_toolkit(tmp_path / "data", NAMES))
    made_up.results(tmp_path / "old", NAMES, shift=15)
    made_up.results(tmp_path / "new", NAMES[:2])
    made_up.results(tmp_path / "new", NAMES[2:], shift=30)
    runs = [Run("old_run", (tmp_path / "old",)), Run("new", (tmp_path / "new",))]
    return extract(annotations, runs, ["lasot"])


@pytest.fixture
def two_protocols(tmp_path):
    annotations = open_annotations("lasot", made_up.lasot_toolkit(tmp_path / "data", NAMES))
    made_up.results(tmp_path / "run", NAMES)
    return extract(annotations, [Run("run", (tmp_path / "run",))], ["lasot", "otb", "otb_strict"])


def test_rows(evaluations):
    first, second = tables.overall_rows(evaluations)
    assert (first.tracker, first.group, first.sequences, first.total) == ("old_run", "all", 3, 280)
    assert first.frames == 9
    assert first.figures["AUC"] < second.figures["AUC"]
    assert [row.group for row in tables.sequence_rows(evaluations)] == sorted(NAMES * 2)
    groups = {(row.group, row.sequences) for row in tables.group_rows(evaluations)}
    assert groups == {("class: airplane", 2), ("class: zebra", 1)}


def test_records_are_flat_and_unrounded(two_protocols):
    (record, *_) = tables.records(tables.overall_rows(two_protocols))
    assert set(record) == {*tables.KEYS, *FIGURES}
    assert record["OP50"] == 100 * (2 / 3)  # two of three frames


def test_text(evaluations, two_protocols):
    text = tables.to_text(tables.overall_rows(evaluations), digits=1)
    lines = text.splitlines()
    assert lines[0] == "LaSOT, 3 of 280 sequences, protocol lasot"
    assert lines[1].split() == ["tracker", *FIGURES]
    assert lines[2].split()[0] == "old_run" and len(lines) == 4
    # the protocol gets a column when there are several
    assert "protocol" in tables.to_text(tables.overall_rows(two_protocols)).splitlines()[1]
    assert tables.to_text([]) == "(nothing to show)"


def test_csv_reads_back(evaluations):
    rows = tables.overall_rows(evaluations) + tables.sequence_rows(evaluations)
    read = list(csv.DictReader(io.StringIO(tables.to_csv(rows))))
    assert len(read) == 2 + 6
    assert float(read[0]["AUC"]) == rows[0].figures["AUC"]


def test_latex_marks_the_best_and_escapes(evaluations):
    text = tables.to_latex(tables.overall_rows(evaluations))
    old, new = (line for line in text.splitlines() if "&" in line and "AUC" not in line)
    assert r"old\_run" in old and r"\textbf" in new
    assert text.count(r"\begin{tabular}{lcccccc}") == text.count(r"\end{tabular}") == 1
    alone = tables.to_latex(tables.overall_rows(evaluations)[:1])
    assert r"\textbf" not in alone


def test_undefined_figures_are_dashes_and_empty(evaluations):
    row = tables.overall_rows(evaluations)[0]
    row = row._replace(figures={k: v for k, v in row.figures.items() if k != "P"})
    assert tables.to_text([row]).splitlines()[2].split()[4] == "-"
    assert next(csv.DictReader(io.StringIO(tables.to_csv([row]))))["P"] == ""


def test_compare_runs_lists_better_and_worse(evaluations):
    changes = compare_runs(*evaluations)
    assert [change.sequence for change in changes] == ["airplane-1", "airplane-9", "zebra-10"]
    assert changes[0].difference > 0 > changes[2].difference
    text = runs_text(*evaluations)
    assert "2 better, 1 worse, 0 equal" in text
    assert text.index("airplane-1") < text.index("worse:") < text.index("zebra-10")
    assert "within chance" in text and "class: " not in text
    same = runs_text(evaluations[0], evaluations[0])
    assert "+0.00 over 3 sequences; 0 better, 0 worse, 3 equal" in same


def test_differences_overall_and_by_attribute(evaluations):
    found = differences(*evaluations)
    assert [d.group for d in found if d.figure == "AUC"] == [
        "all",
        "class: airplane",
        "class: zebra",
    ]
    assert {d.figure for d in found} == set(FIGURES)
    overall, airplanes, zebras = (d for d in found if d.figure == "AUC")
    first, second = (row.figures["AUC"] for row in tables.overall_rows(evaluations))
    assert (overall.before, overall.after) == pytest.approx((first, second))
    # both airplanes gain the same, the zebra loses; three sequences are too few for more
    assert airplanes.interval[:2] == pytest.approx([airplanes.after - airplanes.before] * 2)
    assert overall.interval.low < 0 < overall.interval.high and overall.interval.within_chance
    assert zebras.interval[:2] == pytest.approx([zebras.after - zebras.before] * 2)
    text = runs_text(*evaluations, groups=True)
    assert f"    {'class: airplane':<24} " in text and str(airplanes.interval) in text


def test_compare_refuses_other_protocols(two_protocols):
    with pytest.raises(ValueError, match=r"cannot compare run on lasot \(lasot\) with run"):
        compare_runs(*two_protocols[:2])


def test_protocols_differ_by_frame_counts(two_protocols):
    text = protocols_text(two_protocols)
    assert "lasot and otb differ on 3 of 3 sequences" in text
    # one of three frames is absent: all three count for lasot, two for otb
    for name in NAMES:
        assert f"    {name:<24}      3 ->      2 frames  AUC 63.49 -> 95.24" in text
    assert protocols_text(two_protocols[1:]).endswith("differ on 0 of 3 sequences")


def test_plots_are_files_with_a_sorted_legend(tmp_path, evaluations):
    written = plot_all(evaluations, tmp_path / "plots")
    names = ("success", "precision", "normalised_precision")
    expected = [f"{name}_lasot.{kind}" for name in names for kind in ("png", "pdf")]
    assert [path.name for path in written] == expected
    assert {path.name for path in (tmp_path / "plots").iterdir()} == set(expected)
    for path in written:
        head = path.read_bytes()[:8]
        assert head.startswith(b"\x89PNG" if path.suffix == ".png" else b"%PDF")
    legend = draw(PLOTS[0], evaluations).axes[0].get_legend()
    labels = [text.get_text() for text in legend.get_texts()]
    scores = [row.figures["AUC"] for row in tables.overall_rows(evaluations)]
    assert labels == [f"new [{scores[1]:.1f}]", f"old_run [{scores[0]:.1f}]"]


def test_curves_that_a_protocol_lacks_are_not_drawn(tmp_path):
    names = ["GOT-10k_Val_000001"]
    annotations = open_annotations("got10k_val", made_up.got10k_val(tmp_path / "data", names))
    made_up.results(tmp_path / "run", names)
    evaluations = extract(annotations, [Run("a", (tmp_path / "run",))], ["got10k"])
    written = plot_all(evaluations, tmp_path / "plots")
    assert [path.name for path in written] == ["success_got10k.png", "success_got10k.pdf"]
    with pytest.raises(ValueError, match="protocol got10k does not define NormP"):
        compare_runs(evaluations[0], evaluations[0], "NormP")
