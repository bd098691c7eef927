"""Guards programs around trainings: retraining the demo weights, the ablation, bare weights."""

import os
import subprocess
from functools import partial
from pathlib import Path

import pytest
import timm
import torch
import yaml
from layouts import write_photographs

from lib.checkpoint.files import read_verified, read_weights
from lib.config.aiatrack.config import EXPERIMENTS
from lib.utils.paths import PROJECT_ROOT
from tests.programs import runner

ablation, export = runner("ablation.py"), runner("export_weights.py")


def shortened(name: str, folder: Path) -> Path:
    """A recipe of the project with few samples."""
    recipe = yaml.safe_load((EXPERIMENTS / f"{name}.yaml").read_text())
    recipe["TRAIN"] |= {"EPOCH": 2, "NUM_WORKER": 0, "BATCH_SIZE": 4}
    recipe["DATA"]["TRAIN"]["SAMPLE_PER_EPOCH"] = recipe["DATA"]["VAL"]["SAMPLE_PER_EPOCH"] = 8
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


@pytest.mark.slow
def test_retraining_the_demo_weights(tmp_path: Path) -> None:
    """The command of docs/demo_weights.md, for a few steps; a second run goes on."""
    script = str(PROJECT_ROOT / "tracking" / "train_demo.sh")
    photographs, backbone = tmp_path / "photographs", tmp_path / "lite0.pth"
    photographs.mkdir()
    write_photographs(photographs, 11)
    (photographs / "3.png").unlink()  # noise in which nothing is found
    torch.save(timm.create_model("efficientnet_lite0").state_dict(), backbone)
    options = "--device cpu --samples 8 --batch-size 4 --workers 0".split()
    command = ["bash", script, str(photographs), str(backbone), str(tmp_path), *options]
    for epochs in ("1", "2"):
        environment = {**os.environ, "LONG": epochs}
        run = partial(subprocess.run, capture_output=True, text=True, timeout=300, env=environment)
        done = run([*command, "--epochs", epochs])
        assert done.returncode == 0, done.stderr
        assert "SYNTHETIC_PARTS: clips of 9 photographs" in done.stderr
        assert "10  mask was there" in done.stdout
    assert done.stderr.count("resuming after epoch 1") == 1
    folder = tmp_path / "checkpoints" / "train" / "aiatrack"
    after = folder.with_name("demo_after_2")
    files = [folder / "demo_long" / f"AIATRACK_ep000{n}.pth.tar" for n in (1, 2)]
    first, last, mean = map(read_weights, [*files, after / "mean.safetensors"])
    name = "box_head.conv1_br.0.weight"
    torch.testing.assert_close(mean[name], (first[name] + last[name]) / 2)
    # The last stage starts from the mean, and its end is what is exported.
    assert f"all weights from {after / 'mean.safetensors'}" in done.stderr
    falling = after / "checkpoints" / "train" / "aiatrack" / "demo" / "AIATRACK_ep0002.pth.tar"
    end, shipped = map(read_weights, [falling, folder / "demo.safetensors"])
    torch.testing.assert_close(shipped[name].float(), end[name], rtol=1e-3, atol=1e-3)
    assert not torch.equal(end[name], mean[name])


def test_retraining_needs_photographs_and_a_backbone(tmp_path: Path) -> None:
    script = str(PROJECT_ROOT / "tracking" / "train_demo.sh")
    run = partial(subprocess.run, capture_output=True, text=True, timeout=60)
    done = run(["bash", script])
    assert done.returncode == 2 and "usage: bash tracking/train_demo.sh FOLDER" in done.stderr
    done = run(["bash", script, str(tmp_path / "none"), str(tmp_path / "nothing")])
    assert done.returncode == 2
    assert "none: no such folder" in done.stderr and "nothing: no such file" in done.stderr


@pytest.mark.slow
def test_ablation_of_a_tiny_recipe(tmp_path: Path) -> None:
    recipe = shortened("quick", tmp_path)
    text = recipe.read_text().replace("DEMO_VAL", "SYNTHETIC_PROCEDURAL_VAL")
    recipe.write_text(text.replace("DEMO", "SYNTHETIC_PROCEDURAL"))
    options = ["--seeds", "5", "--epochs", "1", "--device", "cpu", "--clips", "1"]
    options += ["--save-dir", tmp_path / "all", "--", "--keep", "2"]
    status, out, errors = ablation("--config", recipe, *options)
    assert status == 0, errors
    rows = (tmp_path / "all" / "ablation.csv").read_text().splitlines()
    assert rows[0] == "variant,seed,auc"
    assert [row.split(",")[0] for row in rows[1:]] == ["both", "self", "cross", "none"]
    assert out.splitlines()[-5].split() == ["AiA", "in", "AUC", "+-", "seeds"]
    inner = {
        variant: sum(
            ".inner_attn.corr_proj.weight" in name
            for name in read_weights(
                *(tmp_path / "all").rglob(f"quick_{variant}_seed5/AIATRACK_ep0001.pth.tar")
            )
        )
        for variant in ("both", "self", "cross", "none")
    }
    assert inner == {"both": 3, "self": 1, "cross": 2, "none": 0}


def test_bare_weights(tiny_checkpoint: Path, tmp_path: Path) -> None:
    before = read_weights(tiny_checkpoint)
    for options, tolerance in (([], 0), (["--half"], 1e-3)):
        out = tmp_path / f"{len(options)}.safetensors"
        status, _, errors = export(tiny_checkpoint, out, *options)
        assert status == 0, errors
        assert out.stat().st_mode & 0o777 == 0o644
        after, verified = read_verified(out)
        assert verified and after.keys() == before.keys()
        for name, value in before.items():
            assert torch.allclose(after[name].to(value.dtype), value, tolerance, tolerance)
    sizes = [(tmp_path / f"{n}.safetensors").stat().st_size for n in (0, 1)]
    assert sizes[1] < 0.6 * sizes[0] and sizes[0] < tiny_checkpoint.stat().st_size * 1.1


def test_mean_of_several_checkpoints(tiny_checkpoint: Path, tmp_path: Path) -> None:
    state = read_weights(tiny_checkpoint)
    others = [tmp_path / f"{factor}.pth" for factor in (2, 6)]
    for path, factor in zip(others, (2, 6), strict=True):
        changed = {n: t * factor if t.is_floating_point() else t for n, t in state.items()}
        torch.save({"net": changed}, path)
    status, _, errors = export(tiny_checkpoint, *others, tmp_path / "mean.safetensors")
    assert status == 0, errors
    for name, value in read_weights(tmp_path / "mean.safetensors").items():
        expected = 3 * state[name] if value.is_floating_point() else state[name]
        torch.testing.assert_close(value, expected)
    torch.save({"net": {"a": torch.zeros(1)}}, others[0])
    status, _, errors = export(tiny_checkpoint, *others, tmp_path / "other.safetensors")
    assert status == 1 and "2.pth is of another network than" in errors


def test_bare_weights_refusals(tiny_checkpoint: Path, tmp_path: Path) -> None:
    status, _, errors = export(tiny_checkpoint, tmp_path / "a.pth")
    assert status == 1 and "are written as .safetensors; given:" in errors
    (tmp_path / "a.safetensors").symlink_to(tiny_checkpoint)
    status, _, errors = export(tiny_checkpoint, tmp_path / "a.safetensors")
    assert status == 1 and "a.safetensors is read here" in errors
    torch.save({"net": {"a": torch.tensor([1e6])}}, tmp_path / "large.pth")
    status, _, errors = export(tmp_path / "large.pth", tmp_path / "b.safetensors", "--half")
    assert status == 1 and "a has values up to 1e+06, too large for 16 bits" in errors
