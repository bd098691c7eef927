"""Guards what programs import: heavy packages where they are used, and only then."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from programs import TRACKING
from seeded import seeded_box, seeded_frame

HEAVY = {"torch", "torchvision", "timm", "matplotlib", "onnx", "onnxruntime", "torch._dynamo"}
PROGRAMS = sorted(path.name for path in TRACKING.glob("*.py"))
WRONG = {  # arguments that are refused, where --help is not enough
    "check_setup.py": "--need nothing_known",
    "export_onnx.py": "--hyper 1,2",
    "export_weights.py": "a.pth b.onnx",
    "profile_model.py": "--modes fastest",
    "test.py": "--backend onnx --plain",
    "train.py": "--config no_such",
    "video_demo.py": "no_such.mp4 --init 1,2,3,4",
    "visualize_attention.py": "no_such.mp4 --init 1,2,3,4 --frame 1",
}


def run(*command: object) -> tuple[int, set[str], str]:
    """Run a program in a process of its own: exit status, heavy packages that it has, messages."""
    program = f"""
import atexit, runpy, sys
atexit.register(lambda: print("IMPORTED", *({HEAVY!r} & set(sys.modules)), file=sys.stderr))
sys.argv = {list(map(str, command))!r}
sys.path.insert(0, {str(TRACKING)!r})
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    environment = {**os.environ, "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    before, _, imported = done.stderr.rpartition("IMPORTED")
    return done.returncode, set(imported.split()), before


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_imports_nothing_heavy(name: str) -> None:
    status, imported, messages = run(TRACKING / name, "-h")
    assert (status, imported) == (0, set()), messages


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_import_nothing_heavy(name: str) -> None:
    status, imported, messages = run(TRACKING / name, *WRONG[name].split())
    assert status in (1, 2) and "Traceback" not in messages
    assert imported == set(), messages


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    for t in range(2):
        cv2.imwrite(str(folder / f"{t}.png"), seeded_frame(t)[..., ::-1])
    return folder


def track(clip: Path, *options: object) -> set[str]:
    box = ",".join(map(str, seeded_box(0)))
    out = ("--out", clip.parent / "out.mp4", "--overwrite", "--device", "cpu")
    status, imported, messages = run(
        TRACKING / "video_demo.py", clip, "--init", box, *out, "--overwrite", *options
    )
    assert status == 0, messages
    return imported


def test_tracking_imports_what_computes(
    clip: Path, tiny_recipe: Path, tiny_checkpoint: Path
) -> None:
    imported = track(clip, "--param", tiny_recipe, "--checkpoint", tiny_checkpoint)
    assert imported == {"torch", "torchvision", "timm"}


@pytest.mark.slow
def test_onnx_needs_no_torch(clip: Path, tiny_recipe: Path, tiny_checkpoint: Path) -> None:
    files = clip.parent / "onnx"
    options = ("--param", tiny_recipe, "--checkpoint", tiny_checkpoint, "--out", files)
    status, _, messages = run(TRACKING / "export_onnx.py", *options)
    assert status == 0, messages
    backend = ("--param", tiny_recipe, "--backend", "onnx", "--onnx", files)
    assert track(clip, *backend) == {"onnxruntime"}
