"""Guards the reading of released files without running them: hostile pickles, damage; saving."""

import collections
import os
import pickle
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lib.checkpoint.files import (
    CheckpointError,
    read_checkpoint,
    read_weights,
    save_checkpoint,
    save_weights,
)
from lib.checkpoint.names import checkpoints_newest_first

FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])


class AverageMeter:
    """Stands for the class of the released statistics while the file is made."""


class Settings:
    """Stands for the class of the released settings while the file is made."""


class EnvironmentSettings:
    """Stands for the class of the released paths while the file is made."""


@pytest.fixture
def released_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give those classes the names that they have in released files, until the test ends."""
    homes = {AverageMeter: "stats", Settings: "settings", EnvironmentSettings: "local"}
    for cls, home in homes.items():
        module = types.ModuleType(f"lib.train.admin.{home}")
        setattr(module, cls.__name__, cls)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(cls, "__module__", module.__name__)


def released(weights: dict) -> dict:
    """A dictionary as the released files hold it."""
    meter, settings = AverageMeter(), Settings()
    meter.avg, meter.history, meter.array = np.float64(0.5), [torch.ones(2)], np.ones(3)
    settings.env = EnvironmentSettings()
    settings.env.lasot_dir = "/data/LaSOT"
    return {
        "epoch": 500,
        "actor_type": "AIATRACKActor",
        "net_type": "AIATRACK",
        "net": weights,
        "net_info": None,
        "constructor": None,
        "optimizer": {"state": {0: {"step": 3, "exp_avg": torch.ones(2)}}, "param_groups": []},
        "stats": collections.OrderedDict(train={"Loss/total": meter}),
        "settings": settings,
    }


@FORMATS
def test_released_file(released_modules: None, tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "AIATRACK_ep0500.pth.tar"
    weights = collections.OrderedDict(a=torch.arange(3.0), n=torch.tensor(7))
    torch.save(released(weights), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises((pickle.UnpicklingError, AttributeError)):
        torch.load(path, weights_only=True)  # what a plain load does with it
    contents = read_checkpoint(path)
    assert contents["epoch"] == 500 and contents["net_type"] == "AIATRACK"
    meter = contents["stats"]["train"]["Loss/total"]
    assert not isinstance(meter, AverageMeter) and not vars(type(meter)).get("avg")
    assert not isinstance(contents["settings"], Settings)
    state = read_weights(path)
    assert torch.equal(state["a"], torch.arange(3.0)) and state["n"].item() == 7


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


HOSTILE = [
    ("os.system", os.system, r"(posix|nt)\.system"),
    ("eval", eval, r"eval"),
    ("exec", exec, r"exec"),
    ("subprocess.Popen", subprocess.Popen, r"Popen"),
    ("getattr", getattr, r"getattr"),
    ("importlib", __import__, r"__import__"),
]


@FORMATS
@pytest.mark.parametrize(("name", "function", "named"), HOSTILE, ids=[c[0] for c in HOSTILE])
def test_calls_are_refused_by_name(
    tmp_path: Path, zipped: bool, name: str, function, named: str
) -> None:
    path, mark = tmp_path / "hostile.pth.tar", tmp_path / "mark"
    arguments = {
        "os.system": (f"touch {mark}",),
        "subprocess.Popen": (["touch", str(mark)],),
        "getattr": ("text", "upper"),
        "importlib": ("os",),
    }.get(name, (f"open({str(mark)!r}, 'w')",))
    torch.save(
        {"net": {"a": torch.ones(1)}, "settings": Call(function, *arguments)},
        path,
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(CheckpointError, match=named) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value) and "refused" in str(caught.value)
    assert not mark.exists()


def test_bare_pickle_is_refused(tmp_path: Path) -> None:
    path, mark = tmp_path / "bare.pth.tar", tmp_path / "mark"
    path.write_bytes(pickle.dumps({"net": Call(os.system, f"touch {mark}")}))
    with pytest.raises(CheckpointError, match=r"bare\.pth\.tar"):
        read_checkpoint(path)
    assert not mark.exists()


@FORMATS
def test_truncated_anywhere(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "cut.pth.tar"
    torch.save({"net": {"a": torch.rand(500)}}, path, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    for keep in [0, 1, 2, 10, *range(50, len(data) - 1, len(data) // 23)]:
        path.write_bytes(data[:keep])
        with pytest.raises(CheckpointError, match=r"cut\.pth\.tar"):
            read_checkpoint(path)


def test_random_bytes_are_an_error_not_a_crash(tmp_path: Path) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "noise.pth.tar"
    for _ in range(200):
        path.write_bytes(rng.integers(0, 256, rng.integers(1, 300), np.uint8).tobytes())
        with pytest.raises(CheckpointError, match=r"noise\.pth\.tar"):
            read_checkpoint(path)


def test_other_contents_are_named(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match=r"other\.pth: holds a list"):
        read_checkpoint(path)
    torch.save({"epoch": 3, "ema": {"a": torch.ones(1)}}, path)
    with pytest.raises(CheckpointError, match=r"no weights in it.*epoch, ema"):
        read_weights(path)
    torch.save({"net": [1]}, path)
    with pytest.raises(CheckpointError, match=r"no weights in it.*holds net"):
        read_weights(path)
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        read_weights(tmp_path / "none.pth")
    (tmp_path / "bad.safetensors").write_bytes(b"12345")
    with pytest.raises(CheckpointError, match=r"bad\.safetensors: truncated or not"):
        read_weights(tmp_path / "bad.safetensors")


def test_plain_state_dict_and_safetensors(tmp_path: Path) -> None:
    state = {"a": torch.rand(3, 2), "b": torch.tensor([1, 2])}
    torch.save(state, tmp_path / "plain.pt")
    save_file(state, tmp_path / "plain.safetensors")
    for name in ("plain.pt", "plain.safetensors"):
        read = read_weights(tmp_path / name)
        assert set(read) == set(state) and all(torch.equal(read[k], state[k]) for k in state)


@pytest.mark.parametrize("under", ["", "net", "state_dict", "model", "model/state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "a.module."])
def test_weights_as_wrappers_name_them(tmp_path: Path, under: str, prefix: str) -> None:
    """What DataParallel and torch.compile put before names, and where other projects file them."""
    contents: dict = {f"{prefix}a.weight": torch.ones(2), f"{prefix}b.module_list": torch.zeros(1)}
    for key in filter(None, under.split("/")[::-1]):
        contents = {key: contents, "epoch": 3}
    torch.save(contents, tmp_path / "wrapped.pth")
    start = "a." * prefix.startswith("a.")
    assert set(read_weights(tmp_path / "wrapped.pth")) == {
        f"{start}a.weight",
        f"{start}b.module_list",
    }


def test_names_that_wrappers_made_equal(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1), "module.a": torch.zeros(1)}, tmp_path / "two.pth")
    with pytest.raises(CheckpointError, match=r"no weights in it.*holds a, module\.a"):
        read_weights(tmp_path / "two.pth")


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    state = {
        "a": torch.ones(2),
        "b": torch.tensor([1.0, np.nan, -np.inf]),
        "c": torch.tensor([np.inf]),
    }
    eighth = torch.linspace(-1, 1, 9).to(torch.float8_e4m3fn)  # has no isfinite in PyTorch
    save_weights(tmp_path / "b.safetensors", {"a": eighth})
    assert torch.equal(read_weights(tmp_path / "b.safetensors")["a"].float(), eighth.float())
    save_weights(tmp_path / "a.safetensors", state)
    save_checkpoint(tmp_path / "a.pth", {"net": state})
    torch.save(state, tmp_path / "c.pth")
    for name in ("a.safetensors", "a.pth", "c.pth"):
        with pytest.raises(
            CheckpointError, match=rf"{name}: b has 2 of 3 values that are not finite"
        ):
            read_weights(tmp_path / name)


def test_save_is_readable_by_a_plain_load(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "AIATRACK_ep0001.pth.tar"
    save_checkpoint(path, {"epoch": 1, "net": {"a": torch.ones(2)}, "settings": None})
    assert torch.load(path, weights_only=True)["net"]["a"].tolist() == [1, 1]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_newest_first(tmp_path: Path) -> None:
    names = ["AIATRACK_ep0002.pth.tar", "AIATRACK_ep0010.pth.tar", "AIATRACK_ep0009.pth.tar"]
    for name in [*names, "OTHER_ep0099.pth.tar", "AIATRACK_ep0011.pth.tar.tmp"]:
        (tmp_path / name).touch()
    listed = [path.name for path in checkpoints_newest_first(tmp_path)]
    assert listed == [names[1], names[2], names[0]]
    assert checkpoints_newest_first(tmp_path / "none") == []
