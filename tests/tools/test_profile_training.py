"""Guards the profile of training: consistent figures, both kinds of step, limits, refusals."""

import json
import time
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._dynamo.exc import TorchDynamoException

from lib.config.aiatrack.config import load_config
from lib.models.aiatrack.build import build_aiatrack
from lib.tools.profiling.data import find_limit
from lib.tools.profiling.memory import peak_rise
from lib.tools.profiling.training import profile_training, random_batch
from lib.utils.box_ops import xywh_to_xyxy
from tests.train.tiny import write_recipe

CPU = torch.device("cpu")


def test_figures_fit_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.Module, "compile", lambda self: None)  # which would take a minute
    recipe = write_recipe(tmp_path)
    profile = profile_training(str(recipe), CPU, steps=3)
    cfg = load_config(recipe)
    expected = {"device": "cpu", "batch_size": 2, "steps": 3, "epochs": 2, "samples": 8}
    assert expected.items() <= profile.items()
    assert profile["plain"]["settings"] == "fp32, eager"
    assert profile["fast"]["settings"] == "bf16, compiled, channels-last, fused AdamW"
    weights = 4 * sum(p.numel() for p in build_aiatrack(cfg).parameters())
    assert profile["default"]["settings"] == "fp32, eager, fused AdamW"
    for kind in (profile["plain"], profile["default"], profile["fast"]):
        assert kind["samples_per_second"] == pytest.approx(2 / kind["seconds"])
        assert kind["recipe_hours"] == pytest.approx(16 / kind["samples_per_second"] / 3600)
        assert kind["memory"] >= 3 * weights  # they and two moments
        assert kind["speedup"] > 0
        times = [op["seconds"] for op in kind["operators"]]
        assert times == sorted(times, reverse=True) and times[-1] >= 0
        assert 0 < sum(op["share"] for op in kind["operators"]) <= 1 + 1e-9
        names = [op["name"] for op in kind["operators"]]
        assert "aten::convolution_backward" in names
    assert profile["plain"]["speedup"] == 1
    assert json.loads(json.dumps(profile)) == profile


def test_peak_of_memory() -> None:
    """What a step allocates and lets go of is seen."""

    def step() -> None:
        block = torch.ones(2**26)  # 256 MiB
        time.sleep(0.2)
        del block

    assert 200 * 2**20 < peak_rise(step, CPU) < 400 * 2**20


def test_compilation_can_be_left_out(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    profile = profile_training(str(recipe), CPU, batch_size=1, steps=1, compiled=False)
    assert profile["fast"]["settings"] == "bf16, eager, channels-last, fused AdamW"


def test_both_kinds_in_bf16(tmp_path: Path) -> None:
    recipe = str(write_recipe(tmp_path))
    options = {"batch_size": 1, "steps": 1, "compiled": False, "precision": "bf16"}
    profile = profile_training(recipe, CPU, **options)
    assert profile["plain"]["settings"] == "bf16, eager, channels-last"
    assert profile["default"]["settings"] == "bf16, eager, channels-last, fused AdamW"
    assert "fast" not in profile  # it is the default


def test_goes_on_without_a_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def compile_module(self: nn.Module) -> None:
        self.register_forward_pre_hook(fail)

    def fail(*_: object) -> None:
        raise TorchDynamoException("no C++ compiler\nand more")

    monkeypatch.setattr(nn.Module, "compile", compile_module)
    profile = profile_training(str(write_recipe(tmp_path)), CPU, batch_size=1, steps=1)
    assert profile["fast"]["settings"] == "bf16, eager, channels-last, fused AdamW"
    assert "torch.compile does not work here, going on without it: no C++ compiler" in caplog.text


def test_random_batch_is_one_that_can_be_trained_on() -> None:
    batch = random_batch(4, 64).to("cpu")
    assert batch.search.shape == (4, 3, 64, 64) and batch.references.shape == (4, 2, 3, 64, 64)
    corners = xywh_to_xyxy(batch.search_box)
    assert (corners >= 0).all() and (corners <= 1).all()
    assert len(batch.source) == 4


@pytest.mark.parametrize(
    ("device", "threads", "rate", "cores", "room", "needed", "limit"),
    [
        ("cpu", 1, 30, 2, 1, 1, "step"),
        ("cpu", 2, 30, 2, 1, 1, "step"),  # one process loads even where no core is left
        ("cpu", 12, 81, 16, 4, 2, "step"),
        ("some GPU", 16, 1200, 16, 15, 15, "step"),
        ("some GPU", 16, 1201, 16, 15, 16, "loading"),
        ("some GPU", 1, 4000, 1, 1, 50, "loading"),
    ],
)
def test_what_limits_training(
    device: str, threads: int, rate: float, cores: int, room: int, needed: int, limit: str
) -> None:
    kinds = {"plain": {"samples_per_second": rate / 2}, "fast": {"samples_per_second": rate}}
    step = {"device": device, "threads": threads, **kinds}
    found = find_limit(step, {"samples": 40, "total": 0.5}, cores)  # 80 a second
    expected = {"step": rate, "process": 80, "cores": cores}
    assert found == {**expected, "room": room, "needed": needed, "limit": limit}


def test_no_steps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="steps must be at least 1; given: 0"):
        profile_training(str(write_recipe(tmp_path)), CPU, steps=0)
    with pytest.raises(ValueError, match="batch_size must be at least 1; given: 0"):
        profile_training(str(write_recipe(tmp_path)), CPU, batch_size=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu(tmp_path: Path) -> None:
    profile = profile_training(str(write_recipe(tmp_path)), torch.device("cuda"), steps=2)
    assert profile["fast"]["settings"].startswith("bf16, compiled")
    assert profile["plain"]["memory"] > 0 and profile["fast"]["memory"] > 0
