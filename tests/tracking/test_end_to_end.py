"""Guards README's way from frames to tables and archives, command by command."""

import json
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from layouts import write_got10k_test, write_trackingnet

from lib.io.layouts import write_got10k
from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.plan import plan_clip
from lib.synthetic.procedural import ProceduralTextures
from lib.synthetic.render import Clip, render
from tests.programs import run_program

ROOT = Path(__file__).resolve().parents[2]
LENGTHS = {"demo": (9, 8, 7), "trackingnet": (6, 5), "got10k": (6, 5)}
TRACKINGNET = ["-abc_1", "0-6LB4FqxoE_0"]
GOT10K = ["GOT-10k_Test_000001", "GOT-10k_Test_000002"]


def clip(length: int) -> Clip:
    """A clip that follows from its length."""
    options = ClipOptions(length=length, height=120, width=160, object_size=(0.15, 0.3))
    return render(plan_clip(np.random.default_rng(length), ProceduralTextures(), options))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with the three sets in their layouts on disk."""
    root = tmp_path_factory.mktemp("data")
    demo = {f"Demo_{n:06d}": clip(length) for n, length in enumerate(LENGTHS["demo"], 1)}
    write_got10k(root / "demo", demo.items(), split="val")
    trackingnet = dict(zip(TRACKINGNET, map(clip, LENGTHS["trackingnet"]), strict=True))
    write_trackingnet(root / "TrackingNet", trackingnet, split="TEST")
    got10k = dict(zip(GOT10K, map(clip, LENGTHS["got10k"]), strict=True))
    write_got10k_test(root / "GOT10k", got10k)
    return root


@pytest.fixture
def program(data: Path, tmp_path: Path):
    """Run one of the project's programs; data and results are where the environment says."""
    settings = {"AIATRACK_DATA": str(data), "AIATRACK_RESULTS_DIR": str(tmp_path)}

    def run(name: str, *arguments: object, status: int = 0) -> str:
        others = {k: v for k, v in os.environ.items() if not k.startswith("AIATRACK_")}
        done = run_program(ROOT / name, *arguments, env={**others, **settings})
        assert done.returncode == status, done.stderr
        return done.stdout

    return run


@pytest.fixture
def network(tiny_recipe: Path, tiny_checkpoint: Path) -> tuple:
    """Arguments that choose a tiny network."""
    return ("--param", tiny_recipe, "--checkpoint", tiny_checkpoint, "--device", "cpu")


@pytest.mark.slow
def test_demo_from_frames_to_tables(program, network: tuple, data: Path, tmp_path: Path) -> None:
    output = program("tracking/test.py", "--dataset", "demo", "--threads", "2", *network)
    assert "3 sequences tracked (24 frames" in output
    assert len(list((tmp_path / "aiatrack" / "tiny" / "demo").glob("*_run.json"))) == 3
    # A run that says the truth, beside it.
    for path in data.glob("demo/val/*/groundtruth.txt"):
        perfect = tmp_path / "aiatrack" / "perfect" / "demo" / f"{path.parent.name}.txt"
        perfect.parent.mkdir(parents=True, exist_ok=True)
        perfect.write_text(path.read_text())
    table = program(
        "tracking/analysis_results.py", "--dataset", "demo", "--param", "tiny", "perfect",
        "--compare", "--json", tmp_path / "figures.json", "--per-sequence",
        "--plots", tmp_path / "plots",
    )  # fmt: skip
    assert "aiatrack tiny -> aiatrack perfect on demo, AUC (otb_strict):" in table
    rows = json.loads((tmp_path / "figures.json").read_text())
    overall = {row["tracker"]: row for row in rows if row["group"] == "all"}
    # IoU 1 is above 20 of the 21 thresholds.
    assert overall["aiatrack perfect"]["AUC"] == pytest.approx(100 * 20 / 21)
    assert overall["aiatrack perfect"]["OP75"] == 100
    assert 0 < overall["aiatrack tiny"]["AUC"] < 90
    assert len(rows) == 2 * (1 + 3)
    assert {path.suffix for path in (tmp_path / "plots" / "demo").iterdir()} == {".png", ".pdf"}


def contents(archive: Path) -> dict[str, list[str]]:
    """Lines of each member."""
    with zipfile.ZipFile(archive) as file:
        return {name: file.read(name).decode().splitlines() for name in file.namelist()}


def test_trackingnet_from_frames_to_archive(program, network: tuple, tmp_path: Path) -> None:
    pack = "lib/test/utils/transform_trackingnet.py"
    run = ("--tracker_name", "aiatrack", "--cfg_name", "tiny")
    assert "no TrackingNet results: no folder" in program(pack, *run, status=1)
    program("tracking/test.py", "--dataset", "trackingnet", *network)
    assert "is written and checked" in program(pack, *run)
    archive = tmp_path / "aiatrack" / "tiny" / "trackingnet_submit.zip"
    members = contents(archive)
    assert sorted(members) == sorted(f"{name}.txt" for name in TRACKINGNET)
    assert [len(members[f"{name}.txt"]) for name in TRACKINGNET] == list(LENGTHS["trackingnet"])
    for lines in members.values():
        assert all(re.fullmatch(r"-?\d+,-?\d+,\d+,\d+", line) for line in lines)
    assert f"is right: {sum(LENGTHS['trackingnet'])} boxes" in program(pack, "--check", archive)
    assert len(list((tmp_path / "aiatrack" / "tiny" / "trackingnet").glob("*_run.json"))) == 2


def test_got10k_from_frames_to_archive(program, network: tuple, tmp_path: Path) -> None:
    pack = "lib/test/utils/transform_got10k.py"
    program("tracking/test.py", "--dataset", "got10k_test", *network)
    assert "is written and checked" in program(pack, "--cfg_name", "tiny")
    archive = tmp_path / "aiatrack" / "tiny" / "got10k_submit.zip"
    members = contents(archive)
    assert sorted(members) == sorted(
        f"{name}/{name}{end}" for name in GOT10K for end in ("_001.txt", "_time.txt")
    )
    for name, length in zip(GOT10K, LENGTHS["got10k"], strict=True):
        assert len(members[f"{name}/{name}_001.txt"]) == length
        times = members[f"{name}/{name}_time.txt"]
        assert len(times) == length and all(re.fullmatch(r"\d+\.\d{6}", time) for time in times)
    assert f"is right: {sum(LENGTHS['got10k'])} boxes" in program(pack, "--check", archive)
    # One sequence of the run is lost: nothing is written over the archive.
    before = archive.read_bytes()
    (tmp_path / "aiatrack" / "tiny" / "got10k_test" / f"{GOT10K[0]}.txt").unlink()
    output = program(pack, "--cfg_name", "tiny", status=1)
    assert "nothing is written" in output and GOT10K[0] in output
    assert archive.read_bytes() == before
