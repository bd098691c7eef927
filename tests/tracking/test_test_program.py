"""Guards tracking/test.py: repeatable results, runs that go on where they were killed, refusals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from programs import TRACKING, runner
from seeded import seeded_box, seeded_frame

from lib.utils.files import LOCK_FILE

NAMES = {"Deer": 71, "Football1": 74, "Skiing": 81}  # sequences of OTB100 and their lengths


@pytest.fixture(scope="module")
def otb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three synthetic sequences with the names and lengths of real ones."""
    root = tmp_path_factory.mktemp("otb")
    for name, frames in NAMES.items():
        (root / name / "img").mkdir(parents=True)
        for t in range(frames):
            image = seeded_frame(t % 10, 150, 160)[..., ::-1]
            assert cv2.imwrite(str(root / name / "img" / f"{t + 1:04d}.jpg"), image)
        rows = "".join(",".join(map(str, seeded_box(t % 10))) + "\n" for t in range(frames))
        (root / name / "groundtruth_rect.txt").write_text(rows)
    return root


@pytest.fixture
def arguments(tiny_recipe: Path, tiny_checkpoint: Path, tmp_path: Path) -> list[str]:
    """A tiny network on a CPU; results go to tmp_path/results."""
    network = ("--param", str(tiny_recipe), "--checkpoint", str(tiny_checkpoint))
    return ["--dataset", "otb", *network, "--device", "cpu", "--results", str(tmp_path / "results")]


@pytest.fixture
def run(otb: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch):
    """Run tracking/test.py in this process: exit status, output, errors."""
    program = runner("test.py")

    def run(*further: str, root: Path = otb) -> tuple[int, str, str]:
        monkeypatch.setenv("AIATRACK_OTB_DIR", str(root))
        return program(*arguments, *further)

    return run


@pytest.fixture
def start(otb: Path, arguments: list[str]):
    """Start tracking/test.py in a process of its own."""

    def start(*further: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, str(TRACKING / "test.py"), *arguments, *further],
            env={**os.environ, "AIATRACK_OTB_DIR": str(otb)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    """Exit status, output, errors."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def results(tmp_path: Path) -> dict[str, str]:
    """Content of every file that follows from weights and frames alone."""
    folder = tmp_path / "results" / "aiatrack" / "tiny" / "otb"
    kinds = ("_time.txt", "_run.json", LOCK_FILE)
    return {p.name: p.read_text() for p in folder.iterdir() if not p.name.endswith(kinds)}


SEQUENCES = "Deer,Football1,Skiing"


@pytest.mark.slow
def test_twice_the_same_and_skipped_when_finished(run, start, tmp_path: Path) -> None:
    status, out, err = run("--seq", SEQUENCES)
    assert status == 0, err
    assert "3 sequences tracked (226 frames" in out
    first = results(tmp_path)
    assert len(first) == 9
    for name, frames in NAMES.items():
        boxes = np.loadtxt(first[f"otb_{name}_box.txt"].splitlines(), delimiter=",")
        assert boxes.shape == (frames, 4) and boxes[0].tolist() == seeded_box(0)

    status, out, err = run("--seq", SEQUENCES)
    assert status == 0 and "0 sequences tracked" in out and "3 were finished before" in out

    for path in (tmp_path / "results").rglob("*_run.json"):
        path.unlink()
    status, out, err = finish(start("--seq", SEQUENCES, "--threads", "2"))
    assert status == 0 and "3 sequences tracked" in out, err
    assert results(tmp_path) == first


@pytest.mark.slow
def test_killed_in_the_middle_and_started_again(run, start, tmp_path: Path) -> None:
    assert run("--seq", SEQUENCES)[0] == 0
    expected = results(tmp_path)
    subprocess.run(["rm", "-r", str(tmp_path / "results")], check=True)

    process = start("--seq", SEQUENCES)
    folder = tmp_path / "results" / "aiatrack" / "tiny" / "otb"
    deadline = time.monotonic() + 120
    while not list(folder.glob("*_run.json")):  # one sequence is finished, the others are not
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(list(folder.glob("*_run.json"))) < 3

    status, out, err = run("--seq", SEQUENCES)
    assert status == 0, err
    assert "finished before" in out and results(tmp_path) == expected
    assert len(list(folder.glob("*_run.json"))) == 3


@pytest.mark.slow
def test_batch_killed_and_gone_on_with_has_the_boxes_of_one_by_one(
    run, start, tmp_path: Path
) -> None:
    process = start("--seq", SEQUENCES, "--batch", "2")
    folder = tmp_path / "results" / "aiatrack" / "tiny" / "otb"
    deadline = time.monotonic() + 300
    while not list(folder.glob("*_run.json")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(list(folder.glob("*_run.json"))) < 3

    status, out, err = run("--seq", SEQUENCES, "--batch", "3")
    assert status == 0 and " FPS in batches of 3; " in out, err
    assert "0 were finished before" not in out
    together = results(tmp_path)
    # Results of a batch are marked: they do not count for a run one by one.
    status, out, err = run("--seq", SEQUENCES)
    assert status == 0 and "0 were finished before" in out and "batches" not in out, err
    alone = results(tmp_path)
    assert set(together) == set(alone) and len(alone) == 9
    for name in (n for n in alone if n.endswith(("_box.txt", "_score.txt"))):
        values = [np.loadtxt(r[name].splitlines(), delimiter=",") for r in (together, alone)]
        np.testing.assert_allclose(*values, atol=2e-3, err_msg=name)  # boxes have 4 decimals


def test_other_weights_are_tracked_again(run, tmp_path: Path) -> None:
    assert run("--seq", "Deer")[0] == 0
    status, out, _ = run("--seq", "Deer", "--hyper", "5,2,-1e9")
    assert status == 0 and "1 sequences tracked" in out and "0 were finished before" in out


def test_a_failing_sequence_is_named_and_the_others_go_on(run, otb: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    subprocess.run(["cp", "-r", str(otb), str(broken)], check=True)
    frame = broken / "Football1" / "img" / "0030.jpg"
    frame.write_bytes(frame.read_bytes()[:200])
    status, out, err = run("--seq", SEQUENCES, root=broken)
    assert status == 1
    assert "otb_Football1 failed" in err and "0030.jpg: truncated JPEG" in err
    assert "1 without a result: otb_Football1" in out
    assert {"_".join(name.split(".")[0].split("_")[:2]) for name in results(tmp_path)} == {
        "otb_Deer",
        "otb_Skiing",
    }


def test_missing_sequences(run) -> None:
    status, out, err = run()
    assert status == 1
    assert "97 without a result" in out and "and 92 more that cannot be run" in err
    assert run("--allow-missing")[0] == 0


def test_a_share_of_the_sequences_is_said(run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a launcher's settings are left in the shell."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "8")
    status, out, err = run("--seq", SEQUENCES)
    assert status == 0 and "1 sequences tracked" in out
    assert "2 are left to other processes (RANK and WORLD_SIZE in the environment)" in out
    assert "this is process 1 of 8" in err and "it does 1 of 3 sequences" in err


REFUSED = [
    (["--seq", "Dear"], r"no sequence 'Dear' among its 100"),
    (["--hyper", "1,2"], "--hyper must be capacity,ensemble,threshold"),
    (["--hyper", "1,2,0.5", "--seq", "Deer"], "at least 2 and 1"),
    (["--device", "cuda:9", "--seq", "Deer"], "device 'cuda:9' cannot be used here"),
    (["--checkpoint", "none.pth", "--seq", "Deer"], "no checkpoint at none.pth"),
    (["--param", "basline", "--seq", "Deer"], "no recipe 'basline'"),
    (["--dataset", "otb99"], "invalid choice: 'otb99'"),
    (["--threads", "-1"], "argument --threads: must be 0 or more; given: -1"),
    (["--batch", "0"], "argument --batch: must be 1 or more; given: 0"),
    (["--batch", "two"], "argument --batch: invalid whole_number value: 'two'"),
    (["--batch", "4", "--show"], "one sequence at a time: it needs --batch 1, not 4"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[" ".join(c[0]) for c in REFUSED])
def test_refusals(run, options: list, message: str) -> None:
    status, _, err = run(*options)
    assert status not in (0, None) and message in err and "Traceback" not in err, err


def test_the_command_line_of_the_released_code(
    tiny_recipe: Path, tiny_checkpoint: Path, otb: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("AIATRACK_OTB_DIR", str(otb))
    theirs = ["aiatrack", tiny_recipe, "--dataset_name", "OTB100", "--sequence", "Deer"]
    theirs += ["--debug", "0", "--threads", "0", "--num_gpus", "8"]
    ours = ["--checkpoint", tiny_checkpoint, "--results", tmp_path, "--device", "cpu"]
    program = runner("test.py")
    status, out, err = program(*theirs, *ours)
    assert status == 0 and "1 sequences tracked" in out, err
    assert "--debug is not needed here, and left out: --show shows the frames\n" in err
    assert (tmp_path / "aiatrack" / "tiny" / "otb" / "otb_Deer.txt").is_file()
    status, _, err = program("ostrack", "baseline")
    assert status == 2 and "the tracker is aiatrack; given: ostrack" in err


def test_show_without_a_screen(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    status, _, err = run("--seq", "Deer", "--show")
    assert status == 1 and "needs a screen" in err and "Traceback" not in err


@pytest.mark.slow
def test_real_sequences_twice_the_same(run, shared: Path, tmp_path: Path) -> None:
    names = ("--seq", "Couple,Crossing,Football1")
    status, out, err = run(*names, root=shared / "sequences")
    assert status == 0 and "3 sequences tracked (334 frames" in out, err
    first = results(tmp_path)
    for path in (tmp_path / "results").rglob("*_run.json"):
        path.unlink()
    assert run(*names, root=shared / "sequences")[0] == 0
    assert results(tmp_path) == first
