"""Guards every program's named outputs: no input is replaced, and no file that exists unasked."""

from pathlib import Path

import pytest
from made_videos import write_numbered

from tests.programs import run_program
from tests.test import made_up_sets as made_up

# Each line writes, or would write, {old}, which exists.
LINES = {
    "video_demo.py": "{clip} --init 1,1,9,9 --out {old}.mp4",
    "video_demo.py of records": "{clip} --init 1,1,9,9 --out {tmp}/records.mp4",
    "visualize_attention.py": "{clip} --init 1,1,9,9 --frame 1 --out {old}.png",
    "demo.py": "--out {tmp}/demo",
    "export_weights.py": "{checkpoint} {old}.safetensors",
    "export_onnx.py": "--out {tmp}/onnx",
    "cut_objects.py": "{tmp}/demo --sheet {old}.png",
    "make_lmdb.py": "{tmp}/demo --output {old}.lmdb",
    "profile_model.py": "--json {old}.json",
    "analysis_results.py": "--dataset lasot --json {old}.json",
    "analysis_results.py of a page": "--dataset lasot --html {old}.html",
    "analysis_results.py of a table": "--dataset lasot --csv {old}.csv --latex {tmp}/new.tex",
}
SUFFIXES = (".mp4", ".png", ".safetensors", ".lmdb", ".json", ".html", ".csv")
INSIDE = ("records.jsonl", "demo/demo.mp4", "onnx/track.onnx")


@pytest.fixture
def places(tmp_path: Path, tiny_checkpoint: Path) -> dict[str, Path]:
    """Files of every kind, each with the word "old" in it."""
    for name in (*(f"old{suffix}" for suffix in SUFFIXES), *INSIDE):
        made_up.write(tmp_path / name, "old")
    clip = write_numbered(tmp_path / "clip.mp4", 3)
    return {"tmp": tmp_path, "old": tmp_path / "old", "clip": clip, "checkpoint": tiny_checkpoint}


@pytest.mark.parametrize("program", LINES)
def test_files_that_exist_are_kept(places: dict[str, Path], program: str) -> None:
    before = {path: path.stat() for path in places["tmp"].rglob("*") if path.is_file()}
    done = run_program(program.split()[0], *LINES[program].format(**places).split())
    assert done.returncode in (1, 2)
    assert "exists; give --overwrite to replace it" in done.stderr and not done.stdout
    after = {path: path.stat() for path in places["tmp"].rglob("*") if path.is_file()}
    assert {p: s.st_mtime_ns for p, s in before.items()} == {
        p: s.st_mtime_ns for p, s in after.items()
    }


INPUTS = {
    "video_demo.py": "{clip} --init 1,1,9,9 --overwrite --out {clip}",
    "video_demo.py by a link": "{clip} --init 1,1,9,9 --overwrite --out {tmp}/soft.mp4",
    "video_demo.py by two links": "{tmp}/soft.mp4 --init 1,1,9,9 --overwrite --out {tmp}/hard.mp4",
    "visualize_attention.py": "{clip} --init 1,1,9,9 --overwrite --out {clip}",
    "visualize_attention.py of images": (
        "{tmp}/frames --init 1,1,9,9 --overwrite --frame 1 --out {tmp}/frames/2.png"
    ),
    "export_weights.py": "{tmp}/tiny.safetensors {tmp}/tiny.safetensors --overwrite",
    "cut_objects.py": "{tmp}/frames --sheet {tmp}/frames/1.png --overwrite",
    "make_lmdb.py": "{tmp}/frames --output {tmp}/frames/1.png --overwrite",
    "analysis_results.py": "--dataset lasot --results {tmp}/run --json {tmp}/run/a.txt --overwrite",
    "analysis_results.py of truth": (
        "--dataset lasot --annotations {tmp}/run --csv {tmp}/run/a.txt --overwrite"
    ),
    "demo.py": "--photographs {tmp}/demo --out {tmp}/demo --overwrite",
}


@pytest.mark.parametrize("program", INPUTS)
def test_no_output_is_an_input(places: dict[str, Path], program: str) -> None:
    tmp = places["tmp"]
    (tmp / "soft.mp4").symlink_to("clip.mp4")
    (tmp / "hard.mp4").hardlink_to(tmp / "clip.mp4")
    for name in ("frames/1.png", "frames/2.png", "run/a.txt", "tiny.safetensors"):
        made_up.write(tmp / name, "old")
    before = {path: path.read_bytes() for path in tmp.rglob("*") if path.is_file()}
    done = run_program(program.split()[0], *INPUTS[program].format(**places).split())
    assert done.returncode in (1, 2)
    assert "give the output another name" in done.stderr, done.stderr
    assert before == {path: path.read_bytes() for path in tmp.rglob("*") if path.is_file()}
