"""Guards tracking/profile_model.py: figures that fit each other, JSON, refusals."""

import json
import re
from pathlib import Path

import pytest

from lib.tools.profiling.data import PARTS, find_limit
from tests.programs import runner

run = runner("profile_model.py")


def test_figures_fit_each_other(tiny_recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "profile.json"
    options = ("--param", tiny_recipe, "--device", "cpu", "--json", out)
    status, text, errors = run(*options, "--frames", "3", "--precision", "bf16")
    assert status == 0, errors
    assert "speedup over plain" in text and "bytes per memorized frame" in text
    report = json.loads(out.read_text())
    assert report["modes"] == ["plain", "optimized", "bf16"]
    for name in report["modes"]:
        operations = dict(report["GFLOP"][name])
        assert operations.pop("frame") == pytest.approx(sum(operations.values()))
        plain = report["GFLOP"]["plain"]
        for stage in ("backbone", "memory"):  # packed layers are counted as plain ones
            assert operations[stage] == pytest.approx(plain[stage]) and plain[stage] > 0
        times = report["milliseconds"][name]
        assert all(stage["p50"] >= 0 for stage in times.values())
        assert times["frame"]["p50"] > times["backbone"]["p50"]
        assert report["FPS"][name] == pytest.approx(1000 / times["frame"]["p50"])
    assert report["median ratios"]["speedup over plain"]["plain"] == 1
    # Keys, values (2 x 16 tokens x 32) and inner encodings (16 x 16), 4 or 2 bytes each.
    values = 2 * 16 * 32 + 16 * 16
    kept = {"plain": 4 * values, "optimized": 4 * values, "bf16": 2 * values}
    assert report["bytes per memorized frame"] == kept


def test_batches(tiny_recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "batches.json"
    options = ("--param", tiny_recipe, "--device", "cpu", "--json", out, "--frames", "2")
    status, text, errors = run(*options, "--modes", "plain,optimized", "--batch", "1,3")
    assert status == 0, errors
    report = json.loads(out.read_text())
    cases = [(row["mode"], row["size"]) for row in report["rows"]]
    assert cases == [("plain", 1), ("plain", 3), ("optimized", 1), ("optimized", 3)]
    for row in report["rows"]:
        assert all(0 < part["p50"] <= part["p95"] for part in (row["network"], row["with crops"]))
    assert report["pooling"]["CUDA"] == "needs a GPU"
    assert set(report["pooling"]["closed form"]) == {"1", "3"}
    assert all(report["ceilings"][name] > 0 for name in ("copy GB/s", "fp32", "bf16"))
    assert "ceilings: copy " in text and "pooling, CUDA: needs a GPU" in text


REFUSALS = [
    (("--batch", "1,0"), "--batch: must be whole numbers above 0, such as 1,8,32; given: '1,0'"),
    (("--modes", "graph", "--batch", "2", "--device", "cpu"), "CUDA graphs need a GPU"),
    (("--modes", "plain,fast"), r"--modes knows plain, optimized, graph.*; given: fast"),
    (("--precision", "fp16", "--device", "cpu"), "fp16 needs a GPU"),
    (("--plain", "--compile"), "plain runs the network as trained"),
    (("--train", "--steps", "0", "--device", "cpu"), "steps must be at least 1; given: 0"),
    (("--train", "--data", "--opening", "2"), "--opening goes with --data alone"),
    (("--train", "--data"), r"LASOT: no folder \S*nowhere .*AIATRACK_LASOT_DIR"),
]


@pytest.mark.parametrize(("options", "message"), REFUSALS, ids=[c[1] for c in REFUSALS])
def test_refusals(
    tiny_recipe: Path,
    options: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIATRACK_LASOT_DIR", str(tmp_path / "nowhere"))
    status, _, errors = run("--param", tiny_recipe, *options)
    assert status in (1, 2)
    assert re.search(message, errors), errors


def test_training_step(tiny_recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "training.json"
    options = ("--train", "--no-compile", "--param", tiny_recipe, "--device", "cpu", "--json", out)
    status, text, errors = run(*options, "--batch-size", "2", "--steps", "2")
    assert status == 0, errors
    assert "the whole recipe, 500 epochs of 60000 samples" in text
    assert "times plain" in text and "peak MiB" in text
    report = json.loads(out.read_text())
    assert report["fast"]["settings"] == "bf16, eager, channels-last, fused AdamW"
    for name in ("plain", "fast"):
        kind = report[name]
        assert kind["recipe_hours"] == pytest.approx(3e7 / kind["samples_per_second"] / 3600)


def test_data(tiny_recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "data.json"
    options = ("--data", "--param", tiny_recipe, "--json", out)
    size = ("--height", "90", "--width", "120")
    status, text, errors = run(*options, "--samples", "3", *size)
    assert status == 0, errors
    parts = ("boxes", "reading", "decoding", "making", "assembly")
    for word in ("samples/s", *parts, "unpacking", "from one worker"):
        assert word in text
    report = json.loads(out.read_text())
    assert report["total"] == pytest.approx(sum(report[part] for part in parts))
    assert report["samples"] == 3 and 3 <= report["images"] <= 9 and report["bytes"] > 0
    status, text, errors = run(*options, "--overwrite", "--opening", "24")
    assert status == 0, errors
    assert "24 sequences, 11280 boxes" in text and "second opening" in text


def test_what_limits_training(tiny_recipe: Path, tmp_path: Path) -> None:
    """The step and the recipe's own data, here synthetic clips, and what follows from both."""
    sets = {"DATASETS_NAME": ["SYNTHETIC_PROCEDURAL", "LASOT"], "DATASETS_RATIO": [1, 0]}
    recipe, out = tmp_path / "procedural.yaml", tmp_path / "limit.json"
    tiny = json.loads(tiny_recipe.read_text())
    recipe.write_text(json.dumps({**tiny, "DATA": {**tiny["DATA"], "TRAIN": sets}}))
    options = ("--param", recipe, "--device", "cpu", "--batch-size", "2", "--json", out)
    both = ("--train", "--data", "--no-compile", "--steps", "1", "--samples", "3")
    status, text, errors = run(*options, *both)
    assert status == 0, errors
    report = json.loads(out.read_text())
    step, loading, limit = report["step"], report["loading"], report["limit"]
    assert loading["total"] == pytest.approx(sum(loading[part] for part in PARTS))
    assert loading["boxes"] > 0 and loading["drawing"] > 0
    assert loading["bytes"] == loading["reading"] == loading["decoding"] == 0
    assert loading["images"] >= 9 and "decoding" not in text
    assert limit == find_limit(step, loading, limit["cores"]) and step["batch_size"] == 2
    name = "the step" if limit["limit"] == "step" else "loading"
    assert text.endswith(f"{name} limits training on this machine\n")
    assert f"takes --workers {limit['needed']};" in text
