"""Guards AiATrack under the real VOT toolkit, which tracking/vot_setup.sh puts in .venv-vot."""

import configparser
import importlib.util
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VOT = Path(os.environ.get("AIATRACK_VOT", ROOT / ".venv-vot" / "bin" / "vot"))


@pytest.fixture
def workspace(
    tiny_recipe: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Make a registry, with a local stack if asked for, that starts a tiny network."""
    program = runpy.run_path(str(ROOT / "tracking" / "vot_workspace.py"), run_name="program")

    def make(*arguments: str) -> Path:
        folder = tmp_path / "workspace"
        common = ["--param", str(tiny_recipe), "--checkpoint", str(tiny_checkpoint)]
        line = ["--registry", str(folder), *common, "--device", "cpu", *arguments]
        monkeypatch.setattr(sys, "argv", ["vot_workspace.py", *line])
        assert program["main"]() == 0
        return folder

    return make


@pytest.fixture
def toolkit(tmp_path: Path):
    """Run `vot`; its exit status can be 0 for a failure, so the output is what is looked at."""
    if not VOT.is_file() or importlib.util.find_spec("trax") is None:
        pytest.skip(f"needs the VOT toolkit at {VOT} and vot-trax: bash tracking/vot_setup.sh")

    def run(*arguments: str) -> str:
        settings = {"OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path), "VOT_RESULTS_BINARY": "0"}
        done = subprocess.run(
            [str(VOT), *arguments],
            cwd=tmp_path,
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=600,
            check=False,
        )
        return done.stdout

    return run


def answers(output: str) -> list[str]:
    """The regions that the tracker reported, from the toolkit's log of the conversation."""
    return re.findall(r'@@TRAX:state "([^"]+)"', output)


def test_vot_test_with_boxes(toolkit, workspace) -> None:
    output = toolkit("--registry", str(workspace()), "test", "aiatrack")
    assert "Test concluded successfuly" in output, output[-3000:]  # the toolkit's spelling
    states = answers(output)
    assert len(states) == 50 and all(len(state.split(",")) == 4 for state in states)


def test_an_error_of_the_tracker_is_seen_in_the_toolkit(toolkit, workspace) -> None:
    registry = workspace()
    path = registry / "trackers.ini"
    path.write_text(path.read_text().replace("tiny.pth.tar", "gone.pth.tar"))
    output = toolkit("--registry", str(registry), "test", "aiatrack")
    assert "gone.pth.tar" in output and "concluded" not in output


def test_a_stack_with_masks_from_evaluation_to_report(toolkit, workspace) -> None:
    folder = workspace("--local-stack", "--region", "mask")
    place = ("--workspace", str(folder), "aiatrack")
    output = toolkit("evaluate", *place)
    assert "Evaluation concluded successfuly" in output, output[-3000:]
    results = folder / "results" / "aiatrack"
    runs = {p.name: p.read_text().split() for p in results.glob("baseline/*/*[0-9].txt")}
    lengths = {0: 24, 12: 12, 23: 24}  # frames from each anchor on; backward from the last
    assert {name: len(rows) for name, rows in runs.items()} == {
        f"clip{c}_{anchor:08d}.txt": n for c in (1, 2) for anchor, n in lengths.items()
    }
    assert all(row.startswith("m") for rows in runs.values() for row in rows[1:])
    assert len(list(results.glob("unsupervised/*/clip[12]_001.txt"))) == 2
    output = toolkit("analysis", "--name", "figures", *place)
    assert "Analysis successful" in output, output[-3000:]
    figures = json.loads((folder / "analysis" / "figures.json").read_text())["results"]
    eao, _, ar = figures["baseline"]["results"]
    assert 0 <= eao[0][0] <= 1 and 0 < ar[0][0] <= 1 and 0 < ar[0][1] <= 1
    output = toolkit("report", "--name", "report", *place)
    assert "Report generation successful" in output, output[-3000:]
    assert "AiATrack" in (folder / "reports" / "report" / "report.html").read_text()


def test_the_registry_names_this_python_and_absolute_paths(
    workspace, tiny_recipe: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = workspace("--region", "mask", "--refiner", "my.package:make")
    assert "trackers.ini is written" in capsys.readouterr().out
    parser = configparser.ConfigParser()
    parser.read(folder / "trackers.ini")
    command = parser["aiatrack"]["command"].split()
    assert command[:2] == [sys.executable, str(ROOT / "tracking" / "vot_tracker.py")]
    assert command[command.index("--param") + 1] == str(tiny_recipe)
    assert command[-2:] == ["--refiner", "my.package:make"]


def test_nothing_is_written_for_what_cannot_run(workspace, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at none\.pth"):
        workspace("--checkpoint", "none.pth")
    with pytest.raises(FileNotFoundError, match="no recipe 'basline'"):
        workspace("--param", "basline")
    assert not (tmp_path / "workspace").exists()


def test_a_second_local_stack_and_a_lone_refiner_are_refused(workspace, capsys) -> None:
    workspace("--local-stack")
    with pytest.raises(FileExistsError, match="is a workspace already"):
        workspace("--local-stack")
    with pytest.raises(SystemExit, match="2"):
        workspace("--refiner", "a:b")
    assert "--refiner needs --region mask" in capsys.readouterr().err


@pytest.mark.slow
def test_the_program_says_what_is_missing(tmp_path: Path) -> None:
    """Without vot-trax: a module of that name that cannot be imported comes first."""
    (tmp_path / "trax.py").write_text("raise ImportError('not here')\n")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tracking" / "vot_tracker.py")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "bash tracking/vot_setup.sh" in done.stderr
