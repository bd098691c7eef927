"""Guards prepacked layers: the ordinary ones' numbers, whatever surrounds them in the graph."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import symbolic_trace

from lib.config.aiatrack.config import make_config
from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.backbone import Backbone
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.fast import support
from lib.models.aiatrack.fast.factored import optimize_network, trace_backbone
from lib.models.aiatrack.fast.graphs import layer_of
from lib.models.aiatrack.fast.precision import computes_bf16_natively
from lib.models.aiatrack.fast.prepacked import (
    PrepackedConv2d,
    PrepackedLinear,
    can_prepack,
    prepack,
    prepack_graph,
)
from lib.models.aiatrack.fast.winograd import WinogradConv2d
from lib.models.aiatrack.references import concat_references
from tests.conftest import TINY

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN"
)


class Block(nn.Module):
    """Convolutions in every surrounding that is fused, and in some that are not."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.act = nn.ReLU()
        self.left = nn.Conv2d(8, 8, 3, padding=2, dilation=2, bias=False)
        self.right = nn.Conv2d(8, 8, 1)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.twice = nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(8, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.stem(x))  # with its ReLU
        y = self.left(x)
        y += self.right(x)  # two convolutions: the first takes the addition
        x = F.relu(y + x)  # an addition of no convolution
        x = torch.relu(x + self.grouped(x))  # with addition and ReLU, the convolution on the right
        y = self.twice(x)
        return self.last(y + F.relu(y))  # a result that is used twice, and an addition of one map


@torch.no_grad()
def test_every_surrounding() -> None:
    torch.manual_seed(0)
    block = symbolic_trace(Block().eval())
    x = torch.randn(2, 3, 17, 22)
    expected = block(x)
    before = len(block.graph.nodes)
    prepack_graph(block, winograd=False)
    packed = [m for m in block.modules() if isinstance(m, PrepackedConv2d)]
    assert len(packed) == 6 and before - len(block.graph.nodes) == 4  # 2 additions, 2 ReLUs
    torch.testing.assert_close(block(x), expected, atol=1e-5, rtol=1e-5)


OVERWRITING = {
    "resnet18": 5,
    "resnet50": 13,
    "regnetx_002": 6,
    "mobilenetv3_small_050": 5,
    "efficientnet_lite0": 6,
}


@pytest.mark.parametrize("name", OVERWRITING)
@torch.no_grad()
def test_backbones_of_several_batches_and_sizes(name: str) -> None:
    """Weights are packed anew for another shape, and a batch is its rows."""
    torch.manual_seed(0)
    plain = trace_backbone(Backbone(name).body).to(memory_format=torch.channels_last)
    fast = copy.deepcopy(plain)
    prepack_graph(fast, winograd=False)
    overwriting = sum(isinstance(m, PrepackedConv2d) and m.overwrites for m in fast.modules())
    assert overwriting == OVERWRITING[name]
    assert not any(type(layer_of(fast, node)) is nn.ReLU6 for node in fast.graph.nodes)
    for shape in [(1, 3, 64, 64), (3, 3, 64, 64), (1, 3, 96, 96), (1, 3, 64, 64)]:
        x = torch.randn(shape)
        expected, got = plain(x)[-1], fast(x)[-1]
        scale = expected.abs().max()
        torch.testing.assert_close(got / scale, expected / scale, atol=1e-5, rtol=0)


REFUSED = {
    "named padding": nn.Conv2d(8, 8, 3, padding="same"),
    "reflected": nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"),
    "double": nn.Conv2d(8, 8, 3).double(),
    "double linear": nn.Linear(8, 8).double(),
    "transposed": nn.ConvTranspose2d(8, 8, 3),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_does_not_fit(name: str) -> None:
    assert not can_prepack(REFUSED[name])


class Shared(nn.Module):
    """An addend that is read again after the addition, and one of which a view is."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(4, 4, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        half = x[:, :2]
        y = self.second(x) + x
        z = self.third(y) + y
        return torch.cat([z, half, y], 1)


@torch.no_grad()
def test_what_is_still_needed_is_not_overwritten() -> None:
    torch.manual_seed(0)
    graph = symbolic_trace(Shared().eval())
    x = torch.randn(1, 4, 5, 6)
    expected = graph(x)
    prepack_graph(graph, winograd=False)
    assert sum(isinstance(m, PrepackedConv2d) for m in graph.modules()) == 3
    torch.testing.assert_close(graph(x), expected)


class FeedForward(nn.Module):
    """Linear layers with a ReLU, an addition, both and neither."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down, self.both = nn.Linear(6, 9), nn.Linear(9, 6), nn.Linear(6, 6)
        self.alone = nn.Linear(6, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.down(F.relu(self.up(x)))
        return self.alone(F.relu(self.both(x) + x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_linear_layers_of_several_numbers_of_rows(dtype: torch.dtype) -> None:
    if dtype is torch.bfloat16 and not computes_bf16_natively(torch.device("cpu")):
        pytest.skip("this CPU has no bf16 instructions")
    torch.manual_seed(0)
    plain = symbolic_trace(FeedForward().eval().to(dtype))
    fast = copy.deepcopy(plain)
    before = len(fast.graph.nodes)
    prepack_graph(fast, winograd=False)
    assert sum(isinstance(m, PrepackedLinear) for m in fast.modules()) == 4
    assert before - len(fast.graph.nodes) == 3  # 1 ReLU, 2 additions
    bound = {torch.float32: 1e-5, torch.bfloat16: 0.03}[dtype]
    for shape in [(1, 5, 6), (3, 5, 6), (7, 6), (1, 5, 6)]:
        x = torch.randn(shape).to(dtype)
        torch.testing.assert_close(fast(x), plain(x), atol=bound, rtol=bound)


@torch.no_grad()
def test_whole_network(tiny_model: AiATrack) -> None:
    """What is replaced where; the numbers are those of the parity tests of every mode."""
    fast = optimize_network(tiny_model)
    prepack(fast, winograd=True)
    kinds = (nn.Conv2d, PrepackedConv2d, WinogradConv2d, nn.Linear, PrepackedLinear)
    parts = {"backbone": fast.backbone, "encoder": fast.transformer.encoder, "box": fast.box_head}
    found = {
        name: [k.__name__ for k in kinds if any(type(m) is k for m in part.modules())]
        for name, part in parts.items()
    }
    assert found == {
        "backbone": ["PrepackedConv2d"],
        "encoder": ["PrepackedLinear"],
        "box": ["Conv2d", "PrepackedConv2d"],  # the last one, which is not in a sequence
    }
    assert type(fast.bottleneck) is PrepackedConv2d
    decoder = fast.transformer.decoder.layers[0]
    encoded = fast.encode(torch.rand(1, 3, 64, 64), torch.zeros(1, 64, 64, dtype=torch.bool))
    projected = decoder.project(encoded.tokens, encoded.tokens, long_term=True)
    expected = tiny_model.transformer.decoder.project(
        encoded.tokens, encoded.tokens, long_term=True
    )
    for a, b in zip(projected, expected, strict=True):
        torch.testing.assert_close(a.key, b.key, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(a.value, b.value, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("aia", [{"USE_AIA": False}, {"WHERE": "self"}, {"WHERE": "cross"}])
@torch.no_grad()
def test_plain_attention_is_traced_too(aia: dict) -> None:
    """Recipes without inner attention, in some places or all, keep plain attention there."""
    cfg = make_config(TINY)
    for key, value in aia.items():
        setattr(cfg.MODEL.AIA, key, value)
    torch.manual_seed(0)
    plain = build_aiatrack(cfg).eval()
    fast = optimize_network(plain)
    prepack(fast, winograd=True)
    image, mask = torch.rand(1, 3, 64, 64), torch.zeros(1, 64, 64, dtype=torch.bool)
    box = torch.tensor([[0.2, 0.3, 0.4, 0.3]])
    found = []
    for model in (plain, fast):
        encoded = model.encode(image, mask)
        first = model.memorize(encoded, box)
        found.append(model.decode(encoded, first, concat_references([first] * 3)))
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-5)


def test_bf16_is_left_to_torch_where_onednn_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "has_instructions", lambda name: name != "avx512_bf16")
    for layer in (nn.Linear(8, 8), nn.Conv2d(8, 8, 1)):
        assert can_prepack(layer) and not can_prepack(layer.bfloat16())


def test_without_onednn_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    block = symbolic_trace(Block())
    prepack_graph(block, winograd=True)
    assert not any(isinstance(m, PrepackedConv2d) for m in block.modules())
