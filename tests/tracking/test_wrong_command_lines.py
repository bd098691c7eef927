"""Guards users who err: of 500 wrong command lines none ends in a traceback, hangs, or passes.

Options and their kinds are taken from each program's own parser, so that new ones are tried too.
The world has no data sets and hardly any weights, and each line ends in something that is wrong.
"""

import argparse
import os
import random
import signal
import traceback
from collections import Counter
from pathlib import Path
from unittest import mock

import cv2
import pytest

from tests.programs import TRACKING, Done, run_program

LINES, SEED = 500, 18
PATIENCE = 20  # seconds for a line
LONGEST = 30_000  # characters of what is said

# What is wrong for sure, and comes last in a line.
SURE = {
    "ablation.py": ["--config no_such", "--seeds x", "--config broken.yaml", "--device gpu"],
    "analysis_results.py": ["--dataset lasot", "--dataset otb --compare", "--dataset no_such"],
    "benchmark_scoring.py": ["--no-such", "--repeats 0", "--repeats x", "--limit x", "--limit -1"],
    "check_setup.py": [
        "--need no_such",
        "--need got10k,x",
        "--checkpoint garbage.pth --need no_such",
    ],
    "cut_objects.py": ["none", "garbage.pth", "empty", "frames --sheet garbage.pth"],
    "demo.py": [
        "--photographs none",
        "--photographs empty",
        "--param no_such",
        "--checkpoint none",
    ],
    "export_onnx.py": ["--param no_such", "--checkpoint none", "--checkpoint garbage.pth"],
    "export_weights.py": ["none a.safetensors", "garbage.pth a.safetensors", "empty a.safetensors"],
    "make_lmdb.py": ["none", "garbage.pth", "empty --output frames", "pipe", "a b"],
    "measure_lost.py": ["--dataset lasot", "--dataset x", "--dataset uav --annotations none"],
    "opencv_trackers.py": ["--trackers no_such", "--dataset lasot", "--dataset x"],
    "playback_results.py": ["--dataset otb", "--dataset own", "--dataset x", "--fps 0"],
    "profile_model.py": ["--modes x", "--param no_such", "--modes ,", "--data --datasets X"],
    "test.py": ["--dataset otb", "--dataset own", "--dataset x", "--checkpoint none"],
    "train.py": ["--config no_such", "--config baseline", "--config broken.yaml", "--init-from no"],
    "video_demo.py": [
        "none",
        "frames --init 0,0,0,0",
        "frames --init 1,2",
        "pipe",
        "empty",
        "broken.mp4",
    ],
    "visualize_attention.py": [
        "none",
        "frames --init 0,0,0,0",
        "frames --layer 99",
        "pipe",
        "empty",
    ],
    "vot_tracker.py": ["--param no_such", "--checkpoint none", "--region x", "--refiner x"],
    "vot_workspace.py": ["--registry w --param no_such", "--registry garbage.pth", "--region x"],
    "web_demo.py": ["none", "--param no_such", "--checkpoint none", "--lost-below 2", "--port x"],
}
NEEDED = {"visualize_attention.py": "--init 1,1,9,9", "video_demo.py": "--init 1,1,9,9"}
TINY = {
    "export_onnx.py",
    "test.py",
    "video_demo.py",
    "visualize_attention.py",
}  # deep, with weights
PATHS = (
    "none|empty|frames|garbage.pth|pipe|dangling|broken.mp4|broken.yaml|a/b/c|garbage.pth/x||~x|."
)
NUMBERS = "0|-1|x||1e400|nan|99999999999999999999|1.5|--|-inf"
TEXTS = "no_such||-|x,y|1,2|nan,1,1|-1,3,0.7|../..|%s|a\nb|\udcff|" + "9" * 5000
BOXES = "0,0,0,0|1,2,3|nan,nan,nan,nan|1e308,0,1e308,9|-9,-9,1,1|x|,,,||1,1,1e9,1e9|inf,0,9,9"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with things of the wrong kind, and no data anywhere."""
    for name in ("empty", "frames"):
        (tmp_path / name).mkdir()
    for number in range(3):
        image = cv2.randu(cv2.UMat(60, 80, cv2.CV_8UC3).get(), 0, 255)
        cv2.imwrite(str(tmp_path / "frames" / f"{number}.jpg"), image)
    for name in ("garbage.pth", "broken.mp4"):
        (tmp_path / name).write_bytes(random.Random(0).randbytes(3000))
    (tmp_path / "broken.yaml").write_text("TRAIN: {LR: .nan, LR: [1\n")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path)
    for name in ("DATA", "RESULTS_DIR", "PHOTOGRAPHS_DIR", "OWN_DIR", "DEMO_DIR"):
        monkeypatch.setenv(f"AIATRACK_{name}", str(tmp_path / "nowhere"))
    return tmp_path


def actions_of(program: str) -> list[argparse.Action]:
    """The arguments of a program, as its parser knows them."""
    found: list[argparse.Action] = []

    def record(parser: argparse.ArgumentParser, *_: object) -> None:
        found.extend(parser._actions)
        raise SystemExit(2)

    with mock.patch.object(argparse.ArgumentParser, "parse_args", record):
        run_program(program)
    return [a for a in found if not {"--help", "--compile"} & set(a.option_strings)]


def wrong_value(action: argparse.Action, draw: random.Random) -> str:
    """Something for an argument, wrong as a rule."""
    kind = getattr(action.type, "__name__", "str")
    pool = {"Path": PATHS, "parse_box": BOXES, "parse_point": BOXES}.get(kind, NUMBERS)
    if kind == "str" or action.choices:
        pool = f"{TEXTS}|{PATHS}"
    return draw.choice(pool.split("|"))


def wrong_line(program: str, actions: list[argparse.Action], draw: random.Random) -> list[str]:
    """Up to three odd arguments before what is wrong for sure."""
    line = []
    for action in draw.sample(actions, draw.randint(0, min(3, len(actions)))):
        if action.option_strings:
            line.append(draw.choice(action.option_strings))
            takes_value = action.nargs != 0 and draw.random() < 0.95
            line += [wrong_value(action, draw)] * takes_value
        elif draw.random() < 0.2:
            line.append(wrong_value(action, draw))
    if draw.random() < 0.05:
        line.append(draw.choice(["--no-such", "-x", "--", "--no-such=1", "\x00"]))
    return line + NEEDED.get(program, "").split() + draw.choice(SURE[program]).split()


def run_in_time(program: str, line: list[str]) -> Done:
    def late(*_: object) -> None:
        raise TimeoutError(f"not done after {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE)
    try:
        return run_program(program, *line)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fault_of(program: str, line: list[str]) -> str:
    """What is wrong with how a program took a line; empty if it was refused as it should be."""
    try:
        done = run_in_time(program, line)
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:200]} ({where.filename}:{where.lineno})"
    said = done.stderr + done.stdout
    if "Traceback" in said:
        return f"a traceback: {said[-300:]}"
    if done.returncode not in (1, 2, 3):
        return f"exit status {done.returncode}: {said[-300:]}"
    if not done.stderr.strip() and "error" not in said:
        return "nothing is said"
    return f"{len(said)} characters are said" if len(said) > LONGEST else ""


def test_every_program_is_tried() -> None:
    assert sorted(SURE) == sorted(path.name for path in TRACKING.glob("*.py"))


@pytest.mark.slow
def test_wrong_command_lines(world: Path, tiny_recipe: Path, tiny_checkpoint: Path) -> None:
    weights = ["--param", str(tiny_recipe), "--checkpoint", str(tiny_checkpoint)]
    draw, faults, tried = random.Random(SEED), [], Counter[str]()
    actions = {program: actions_of(program) for program in SURE}
    for number in range(LINES):
        program = list(SURE)[number % len(SURE)]
        line = wrong_line(program, actions[program], draw)
        if program in TINY and draw.random() < 0.7:
            line = [*weights, "--device", "cpu", *line]
        tried[program] += 1
        if fault := fault_of(program, line):
            faults.append(f"{program} {line!r}:\n    {fault}")
    assert min(tried.values()) >= LINES // len(SURE)
    assert not faults, f"{len(faults)} of {LINES}:\n" + "\n".join(faults)
