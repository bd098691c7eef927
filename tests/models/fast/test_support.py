"""Guards torch's private functions: the eager layer runs where one is missing, with one warning."""

import subprocess
import sys
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.fast import support
from lib.models.aiatrack.fast.factored import optimize_network
from lib.models.aiatrack.fast.prepacked import PrepackedConv2d, PrepackedLinear, prepack
from lib.models.aiatrack.fast.quantized import check_int8
from lib.models.aiatrack.references import concat_references

ROOT = Path(__file__).resolve().parents[3]
CONVOLUTION = [f"ops.mkldnn.{name}" for name in support.CONVOLUTION]
LINEAR = [f"ops.mkldnn.{name}" for name in support.LINEAR]


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Names below torch that are taken away when they are put in here."""
    names: set[str] = set()

    def look_up(path: str) -> attrgetter:
        return attrgetter("missing here") if path in names else attrgetter(path)

    monkeypatch.setattr(support, "attrgetter", look_up)
    support.private.cache_clear()
    yield names
    support.private.cache_clear()


@torch.inference_mode()
def find(model: AiATrack) -> tuple[Tensor, Tensor]:
    """Box and score of a crop."""
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    encoded = model.encode(image, torch.zeros(1, 64, 64, dtype=torch.bool))
    first = model.memorize(encoded, torch.tensor([[0.2, 0.3, 0.4, 0.3]]))
    features = model.decode(encoded, first, concat_references([first] * 3))
    box, _ = model.box_head(features)
    return box, model.iou_head(features, box[:, None])


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
@pytest.mark.parametrize("path", [*CONVOLUTION, *LINEAR, "cpu._is_amx_tile_supported"])
def test_without_a_function_eager_layers_run(
    path: str, missing: set[str], tiny_model: AiATrack, caplog: pytest.LogCaptureFixture
) -> None:
    missing.add(path)
    network = optimize_network(tiny_model)
    prepack(network, winograd=True)
    for got, expected in zip(find(network), find(tiny_model), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    assert caplog.text.count(f"has no torch.{path}: eager layers are used instead") == 1
    for kind, names in ((PrepackedConv2d, CONVOLUTION), (PrepackedLinear, LINEAR)):
        assert any(type(m) is kind for m in network.modules()) == (path not in names)


@pytest.mark.parametrize("path", ["cpu._is_vnni_supported", "backends.quantized"])
def test_without_a_function_int8_is_refused(
    path: str, missing: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if path != "cpu._is_vnni_supported":
        monkeypatch.setattr(support, "has_instructions", lambda name: True)
    missing.add(path)
    with pytest.raises(RuntimeError, match="int8 needs"):
        check_int8()


def test_without_torch_ao_int8_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.ao.quantization.quantize_fx", None)
    with pytest.raises(RuntimeError, match=r"int8 needs torch\.ao\.quantization, which torch"):
        support.quantization("quantize_fx")


PROGRAM = """
import sys
import timm, torch  # may do what they like
from seeded import seeded_box, seeded_frame


class Forbidden:
    def __getattr__(self, name):
        raise AssertionError(f"{name} was asked for")


def forbidden(*_):
    raise AssertionError("was called")


torch.ops.mkldnn = torch.backends.quantized = Forbidden()
for name in ("amx_tile", "avx512_bf16", "vnni"):
    setattr(torch.cpu, f"_is_{name}_supported", forbidden)
import lib.test.tracker

tracker = lib.test.tracker.load_tracker(*sys.argv[1:], device="cpu", plain=True)
tracker.initialize(seeded_frame(0), seeded_box(0))
tracker.track(seeded_frame(1))
for name in ("torch.ao.quantization.quantize_fx", "torch.fx.experimental.optimization"):
    assert name not in sys.modules, name
assert lib.models.aiatrack.fast.support.private.cache_info().currsize == 0
"""


def test_neither_imports_nor_the_eager_network_ask(
    tiny_recipe: Path, tiny_checkpoint: Path
) -> None:
    paths = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
    command = [sys.executable, "-c", paths + PROGRAM, str(tiny_recipe), str(tiny_checkpoint)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
