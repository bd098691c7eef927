"""Guards tracking/video_demo.py: videos and records, sources that break off, refusals."""

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from seeded import seeded_box, seeded_frame

from lib.io.video.writer import VideoWriter
from tests.programs import Run, runner

PROGRAM = Path(__file__).resolve().parents[2] / "tracking" / "video_demo.py"
INIT = ",".join(map(str, seeded_box(0)))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Ten frames of a moving target."""
    with VideoWriter(tmp_path / "clip.mp4", 20) as writer:
        for t in range(10):
            writer.write(seeded_frame(t))
    return writer.path


@pytest.fixture
def options(tiny_recipe: Path, tiny_checkpoint: Path) -> list[str]:
    """Options that choose a tiny network."""
    recipe = ["--param", str(tiny_recipe), "--checkpoint", str(tiny_checkpoint)]
    return [*recipe, "--device", "cpu"]


@pytest.fixture
def run(options: list[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the program in this process: exit status, output, errors."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)

    program = runner("video_demo.py")
    return lambda *arguments: program(*options, *arguments)


def records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def frame_count(path: Path) -> int:
    return int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT))


def test_two_targets(run: Run, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "a.mp4"
    second = ("--init", "10,10,30,30", "--lost-below", "1")
    status, text, _ = run(str(clip), "--init", INIT, *second, "--out", str(out))
    assert status == 0
    assert "10 frames tracked; lost: target 1 in 9, target 2 in 9" in text and str(out) in text
    assert sorted(p.name for p in out.parent.iterdir()) == ["a.jsonl", "a.mp4"]
    lines = records(out.with_suffix(".jsonl"))
    assert [(r["frame"], r["target"]) for r in lines] == [(t, i) for t in range(10) for i in (1, 2)]
    assert lines[0]["box"] == seeded_box(0) and lines[1]["box"] == [10, 10, 30, 30]
    assert lines[2]["time"] == 0.05 and 0 <= lines[2]["score"] <= 1 and lines[2]["lost"] is True
    assert frame_count(out) == 10
    # The network is random, the first frame is not: its box is drawn and its colours are kept.
    bgr = cv2.VideoCapture(str(out)).read()[1].astype(int)
    difference = abs(bgr[..., ::-1] - seeded_frame(0)).mean()
    assert difference < 0.7 * abs(bgr - seeded_frame(0)).mean()


def test_lost_threshold_is_the_recipes(
    run: Run, tiny_recipe: Path, clip: Path, tmp_path: Path
) -> None:
    recipe = yaml.safe_load(tiny_recipe.read_text())
    recipe.setdefault("TEST", {})["LOST_BELOW"] = 1
    (tmp_path / "strict.yaml").write_text(yaml.safe_dump(recipe))
    options = ("--init", INIT, "--out", str(tmp_path / "a.mp4"), "--overwrite")
    strict = ("--param", str(tmp_path / "strict.yaml"))
    assert "lost: target 1 in 9" in run(str(clip), *options, *strict)[1]
    assert "lost: never" in run(str(clip), *options, *strict, "--lost-below", "0")[1]


def test_each_target_is_tracked_as_if_alone(run: Run, clip: Path, tmp_path: Path) -> None:
    hyper = ("--hyper", "4,2,-1e9")
    both, alone = tmp_path / "both.mp4", tmp_path / "alone.mp4"
    run(str(clip), "--init", "10,10,30,30", "--init", INIT, "--out", str(both), *hyper)
    run(str(clip), "--init", INIT, "--out", str(alone), *hyper)
    second = [r["box"] for r in records(both.with_suffix(".jsonl")) if r["target"] == 2]
    first = [r["box"] for r in records(alone.with_suffix(".jsonl"))]
    np.testing.assert_allclose(second, first, atol=2e-3)  # one pass for both; 3 decimals


def test_broken_off(run: Run, tmp_path: Path) -> None:
    """What there was is kept, and the exit status tells."""
    path = tmp_path / "whole.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (320, 240))
    for t in range(20):
        writer.write(seeded_frame(t % 10))
    writer.release()
    broken = tmp_path / "broken.avi"
    broken.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    out = tmp_path / "a.mp4"
    status, text, err = run(str(broken), "--init", INIT, "--out", str(out))
    assert status == 3 and "the source broke off: " in err and "the file was cut off" in err
    frames = frame_count(out)
    assert 2 < frames < 18 and f"{frames} frames tracked" in text
    assert len(records(out.with_suffix(".jsonl"))) == frames


@pytest.mark.slow
def test_stopped(options: list[str], tmp_path: Path) -> None:
    """Files are whole and agree after Ctrl-C."""
    folder = tmp_path / "many"
    folder.mkdir()
    cv2.imwrite(str(folder / "0.jpg"), seeded_frame(0))
    for t in range(1, 5000):
        (folder / f"{t}.jpg").symlink_to("0.jpg")
    out = tmp_path / "out" / "a.mp4"
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), str(folder), *options, "--init", INIT, "--out", str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not any(p.stat().st_size > 1000 for p in out.parent.glob(".a.jsonl*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    text, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    frames = frame_count(out)
    assert 1 < frames < 5000 and f"{frames} frames tracked" in text
    lines = records(out.with_suffix(".jsonl"))
    assert [r["frame"] for r in lines] == list(range(frames))
    assert sorted(p.name for p in out.parent.iterdir()) == ["a.jsonl", "a.mp4"]


def test_codec_falls_back(run: Run, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"
    status, _, err = run(str(clip), "--init", INIT, "--out", str(out), "--codec", "XXXX")
    assert status == 0 and "no codec XXXX here: using avc1" in err
    assert frame_count(out) == 10


REFUSED = [
    (1, "{tmp}/none.mp4 --init 1,1,9,9", "no video"),
    (1, "97 --init 1,1,9,9", "camera 97: there is no such camera"),
    (1, "{clip} --init 320,10,20,20", "target 1: the target's box [320.0, 10.0, 20.0, 20.0] lies"),
    (1, "{clip} --init 1,1,9,9 --init 1,1,0,9", "target 2: the target's width and height must be"),
    (1, "{clip} --init 1,1,9,9 --show", "showing frames needs a screen"),
    (1, "{clip}", "without --init x,y,w,h the box is drawn with the mouse, and there is no screen"),
    (1, "{clip} --init 1,1,9,9 --out {clip}/a.mp4", "cannot write {clip}/a.mp4"),
    (1, "{clip} --init 1,1,9,9 --out {tmp}/a.avi", "a file name with .mp4; given: {tmp}/a.avi"),
    (1, "{clip} --init 1,1,9,9 --codec h264x", "four characters, such as avc1; given: 'h264x'"),
    (1, "{clip} --init 1,1,9,9 --hyper 1,2", "--hyper must be capacity,ensemble,threshold"),
    (1, "{clip} --init 1,1,9,9 --checkpoint {tmp}/n.pth", "no checkpoint at {tmp}/n.pth"),
    (2, "{clip} --init 1,1,9", "a box is x,y,w,h in pixels, such as 200,150,60,80; given: '1,1,9'"),
    (2, "{clip} --init 1,1,9,9 --lost-below 2", "--lost-below must be in [0, 1]; given: 2.0"),
    (2, "{clip} --init 1,1,9,9 --fps 0", "--fps must be above 0"),
]


@pytest.mark.parametrize(("status", "arguments", "message"), REFUSED, ids=[c[1] for c in REFUSED])
def test_refusals(
    run: Run, clip: Path, tmp_path: Path, status: int, arguments: str, message: str
) -> None:
    places = {"tmp": tmp_path, "clip": clip}
    given = [part.format(**places) for part in arguments.split()]
    if "--out" not in given:
        given += ["--out", str(tmp_path / "out" / "a.mp4")]
    found, _, err = run(*given)
    assert found == status and message.format(**places) in err
    assert not list(tmp_path.glob("out/*"))


NAMES = [  # source, name of what is written by default
    ("clip.mp4", "clip"),
    ("walk", "walk"),
    ("walk/img", "walk"),
    ("walk/img/*.jpg", "walk"),
    ("walk/", "walk"),
    (".", "work"),
    ("*/img/*.jpg", "work"),
    ("my clip (1).mov", "my_clip_1"),
    ("12:30:15.mp4", "12_30_15"),
    ("camera 0", "camera_0"),
    ("rtsp://host:8554/a/b?x=1", "host_8554_a_b_x_1"),
    ("видео.mp4", "видео"),
]


@pytest.mark.parametrize(("source", "name"), NAMES)
def test_default_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, name: str
) -> None:
    default_output = runpy.run_path(str(PROGRAM))["default_output"]
    (tmp_path / "work" / "walk" / "img").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    assert default_output(source) == PROGRAM.parents[1] / "demo" / f"{name}.mp4"


def test_colons_and_signs(run: Run, clip: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    clip.rename("12:30:15.mp4")
    status, text, err = run("12:30:15.mp4", "--init", "-20,-20,60,60", "--out", "a.mp4")
    assert status == 0 and "10 frames tracked" in text, err
    line = ["12:30:15.mp4", "--init", "20", "20", "60", "60", "--out", "a.mp4"]
    assert "a.mp4 exists; give --overwrite" in run(*line)[2]
    assert run(*line, "--overwrite")[0] == 0
    assert records(tmp_path / "a.jsonl")[0]["box"] == [20, 20, 60, 60]


def test_a_full_disk(options: list[str], clip: Path, tmp_path: Path) -> None:
    """The error is one line, and what was tracked before is kept."""
    out = tmp_path / "out" / "a.mp4"
    line = [str(PROGRAM), str(clip), *options, "--init", INIT, "--out", str(out), "--fps", "1"]
    limit = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (60000, -1))"
    code = f"{limit}; sys.argv = {line!r}; runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "error: cannot write" in done.stderr or "could not be written whole" in done.stderr
    kept = frame_count(out)
    assert 0 < kept < 10 and len(records(out.with_suffix(".jsonl"))) > kept
