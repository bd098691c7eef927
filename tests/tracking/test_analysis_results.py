"""Guards tracking/analysis_results.py: published figures, output, files, exit status."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.programs import Done, run_program
from tests.test import made_up_sets as made_up

ROOT = Path(__file__).resolve().parents[2]
LASOT40 = ROOT.parent / "shared" / "lasot40"
NAMES = ["airplane-1", "airplane-9"]


def analyse(*arguments: object, **environment: object) -> Done:
    """Run the program; settings of the person who runs the tests do not reach it."""
    settings = {k: v for k, v in os.environ.items() if not k.startswith("AIATRACK_")}
    settings |= {key: str(value) for key, value in environment.items()}
    return run_program("analysis_results.py", *arguments, env=settings)


@pytest.fixture
def lasot(tmp_path):
    """Arguments for two annotated sequences; results are to be made in `run`."""
    made_up.lasot_toolkit(tmp_path / "data", NAMES)
    made_up.results(tmp_path / "run", NAMES)
    return ["--dataset", "lasot", "--annotations", tmp_path / "data", "--results", tmp_path / "run"]


@pytest.mark.skipif(not LASOT40.is_dir(), reason="no real results: ../shared/lasot40 is absent")
def test_official_results_give_the_published_figures(tmp_path):
    out = analyse(
        "--dataset", "lasot", "--annotations", LASOT40, "--results", LASOT40 / "results",
        "--protocol", "lasot", "otb", "--no-plots", "--allow-missing", "--json",
    )  # fmt: skip
    assert out.returncode == 0, out.stderr
    figures = {
        row["protocol"]: [round(row[name], 4) for name in ("AUC", "NormP", "P")]
        for row in json.loads(out.stdout)
    }
    assert figures == {"lasot": [68.4234, 78.8176, 71.67], "otb": [70.2757, 80.9182, 73.4202]}


def test_missing_sequences_are_listed_and_fail(lasot):
    out = analyse(*lasot, "--no-plots")
    assert out.returncode == 1
    assert "no result for 278 of 280 sequences" in out.stderr and " and 266 more\n" in out.stderr
    assert "LaSOT, 2 of 280 sequences, protocol lasot" in out.stdout
    out = analyse(*lasot, "--no-plots", "--allow-missing")
    assert out.returncode == 0 and "no result for 278" in out.stderr


def test_nothing_to_score_fails_even_if_missing_is_allowed(lasot, tmp_path):
    lasot[-1] = tmp_path / "empty"
    out = analyse(*lasot, "--no-plots", "--allow-missing")
    assert out.returncode == 1 and "nothing to score on lasot" in out.stderr


def test_truncated_result_is_named_and_the_others_are_scored(lasot, tmp_path):
    made_up.write(tmp_path / "run" / "airplane-1.txt", "1,2,3,4\n")
    for options, status in (([], 1), (["--allow-missing"], 0)):
        out = analyse(*lasot, "--no-plots", *options)
        assert out.returncode == status and "LaSOT, 1 of 280 sequences" in out.stdout
        assert "airplane-1.txt: airplane-1: the result has 1 boxes, the annotation 3" in out.stderr


def test_messages_stay_short(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = made_up.LASOT_NAMES[:30]
    made_up.lasot_toolkit(tmp_path / "data", names)
    for name in names:
        made_up.write(tmp_path / "run" / f"{name}.txt", f"{'x' * 10**5}\n" * 3)
    folders = ("--annotations", tmp_path / "data", "--results", tmp_path / "run")
    out = analyse("--dataset", "lasot", *folders, "--no-plots")
    assert out.returncode == 1 and len(out.stderr) < 30_000
    (path,) = tmp_path.glob("aiatrack-problems-*.txt")
    assert f"... and 10 more; all are in {path}" in out.stderr
    assert len(path.read_text().splitlines()) == 30


def test_plots_need_no_backend(lasot, tmp_path):
    """As it is inherited from a notebook, in a process without this one's Matplotlib."""
    program = ROOT / "tracking" / "analysis_results.py"
    environment = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    more = ["--allow-missing", "--plots", tmp_path / "plots", "--html", tmp_path / "page.html"]
    command = [sys.executable, program, *lasot, *more]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "plots").rglob("*.png"))) == 3


def test_scoring_needs_no_torch(lasot):
    program = ROOT / "tracking" / "analysis_results.py"
    code = "import sys, runpy; sys.modules.update(torch=None, torchvision=None, timm=None); "
    code += f"sys.argv[0] = {str(program)!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", code, *lasot, "--no-plots", "--allow-missing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "LaSOT, 2 of 280" in done.stdout, done.stderr


def test_a_recipe_given_as_a_file_names_its_folder(tmp_path):
    made_up.lasot_toolkit(tmp_path / "data", NAMES)
    made_up.results(tmp_path / "all" / "aiatrack" / "lr0.0001" / "lasot", NAMES)
    folders = ("--annotations", tmp_path / "data", "--results", tmp_path / "all")
    for param in ("lr0.0001", "elsewhere/lr0.0001.yaml"):
        out = analyse(
            "--dataset",
            "lasot",
            "--param",
            param,
            *folders,
            "--no-plots",
            "--allow-missing",
            "--json",
        )
        assert out.returncode == 0 and json.loads(out.stdout)[0]["tracker"] == "aiatrack lr0.0001"


def test_formats_and_plots(lasot, tmp_path):
    files = [tmp_path / f"figures.{kind}" for kind in ("json", "csv", "tex")]
    out = analyse(
        *lasot, "--allow-missing", "--json", files[0], "--csv", files[1], "--latex", files[2],
        "--per-sequence", "--per-attribute", "--plots", tmp_path / "plots",
    )  # fmt: skip
    assert out.returncode == 0, out.stderr
    assert "class: airplane" in out.stdout and "airplane-9" in out.stdout
    rows = json.loads(files[0].read_text())
    assert [row["group"] for row in rows] == ["all", "class: airplane", *NAMES]
    assert len(files[1].read_text().splitlines()) == 1 + 4
    assert files[2].read_text().count(r"\begin{tabular}") == 3
    assert len(list((tmp_path / "plots" / "lasot").glob("*_lasot.p*"))) == 6


def test_json_alone_is_all_of_standard_output(lasot):
    out = analyse(*lasot, "--no-plots", "--json")
    assert out.returncode == 1  # missing sequences
    (row,) = json.loads(out.stdout)
    assert {"AUC", "OP50", "OP75", "P", "NormP", "AO"} <= set(row)
    out = analyse(*lasot, "--no-plots", "--json", "--csv")
    assert out.returncode == 2 and "only one of --json, --csv, --latex" in out.stderr


def test_own_layout_with_several_recipes_and_names(tmp_path):
    made_up.lasot_own(tmp_path / "sets" / "LaSOT", NAMES, occluded="0,0,0")
    made_up.results(tmp_path / "all" / "aiatrack" / "baseline" / "lasot", NAMES)
    made_up.results(tmp_path / "all" / "aiatrack" / "mine" / "lasot", NAMES, shift=9)
    arguments = [
        "--dataset", "lasot", "--param", "baseline", "mine", "--display", "Ours", "Theirs",
        "--results", tmp_path / "all", "--annotations", tmp_path / "sets", "--no-plots",
        "--allow-missing", "--compare",
    ]  # fmt: skip
    out = analyse(*arguments)
    assert out.returncode == 0, out.stderr
    assert "Ours -> Theirs on lasot, AUC (lasot):" in out.stdout and "2 worse" in out.stdout
    assert "95% interval of the difference (paired bootstrap over sequences)" in out.stdout
    rows = json.loads(analyse(*arguments, "--per-attribute", "--json").stdout)
    first, second, *groups = rows
    assert "differences" not in first and second["compared_with"] == "Ours"
    found = second["differences"]["AUC"]
    assert found["difference"] == pytest.approx(second["AUC"] - first["AUC"])
    assert found["low"] <= found["high"] < 0 and found["within_chance"]  # two sequences are few
    assert [("differences" in row) for row in groups] == [False, True]
    # the same from the settings of the project
    settings = {"AIATRACK_DATA": tmp_path / "sets", "AIATRACK_RESULTS_DIR": tmp_path / "all"}
    again = analyse(*arguments[:8], *arguments[12:], **settings)
    assert again.stdout == out.stdout


def test_without_arguments_the_three_small_sets_of_the_baseline(tmp_path):
    for dataset, folder, separator in (
        ("otb", "OTB100", ","), ("nfs", "NFS30", "\t"), ("uav", "UAV123", ","),
    ):  # fmt: skip
        made_up.table_set(dataset, tmp_path / folder, separator)
        names = made_up.read_rows(f"{dataset}.csv")
        # as the official results lie: no folder for the data set
        made_up.results(tmp_path / "all" / "aiatrack" / "baseline", list(names))
    settings = {"AIATRACK_DATA": tmp_path, "AIATRACK_RESULTS_DIR": tmp_path / "all"}
    out = analyse("--plots", tmp_path / "plots", **settings)
    assert out.returncode == 0, out.stderr
    for title in ("OTB100, 100 seq", "NfS30, 100 seq", "UAV123, 123 seq"):
        assert title in out.stdout
    assert out.stdout.count("aiatrack baseline  95.24") == 3  # perfect: 20 of 21 thresholds
    assert len(list((tmp_path / "plots").rglob("*.pdf"))) == 9


def test_refusals_name_the_value(lasot, tmp_path):
    nowhere = {"AIATRACK_DATA": tmp_path / "nowhere"}
    out = analyse("--no-plots", **nowhere)
    assert out.returncode == 1
    assert "error: otb:" in out.stderr and "AIATRACK_DATA" in out.stderr
    assert "error: uav:" in out.stderr
    out = analyse(*lasot, "--display", "a", "b")
    assert out.returncode == 1 and "2 names of --display for 1 runs" in out.stderr
    out = analyse(*lasot, "--compare")
    assert out.returncode == 1 and "--compare needs two or more runs" in out.stderr
    out = analyse("--tracker", "a", "b", "--param", "c", "d", "e")
    assert out.returncode == 1 and "2 of --tracker do not pair with 3 of --param" in out.stderr
    out = analyse(*lasot, "--results", tmp_path / "run", tmp_path / "run", "--no-plots")
    assert out.returncode == 1 and "runs need different names" in out.stderr
