"""tracking/profile_model.py: its figures are consistent, its file is JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_figures_fit_each_other(tiny_recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "profile.json"
    command = [
        *(sys.executable, str(ROOT / "tracking" / "profile_model.py"), "--frames", "3"),
        *("--param", str(tiny_recipe), "--device", "cpu", "--json", str(out)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "speedup over plain" in done.stdout and "a remembered frame" in done.stdout
    report = json.loads(out.read_text())
    for name in ("plain", "rearranged"):
        operations = dict(report["GFLOP"][name])
        assert operations.pop("frame") == pytest.approx(sum(operations.values()))
        assert operations["backbone"] > 0 and operations["heads"] > 0
        times = report["milliseconds"][name]
        assert all(stage["p50"] >= 0 for stage in times.values())
        assert times["frame"]["p50"] > times["backbone"]["p50"]
    # Keys, values (2 x 16 tokens x 32) and inner encodings (16 x 16) in fp32.
    assert report["bytes a remembered frame"] == 4 * (2 * 16 * 32 + 16 * 16)
