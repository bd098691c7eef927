"""Packed convolutions give the ordinary ones' numbers, whatever surrounds them in the graph."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import symbolic_trace

from lib.models.aiatrack.backbone import Backbone
from lib.models.aiatrack.inference import trace_backbone
from lib.models.aiatrack.packed import PackedConv2d, fits, use_packed

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
    use_packed(block)
    packed = [m for m in block.modules() if isinstance(m, PackedConv2d)]
    assert len(packed) == 6 and before - len(block.graph.nodes) == 4  # 2 additions, 2 ReLUs
    torch.testing.assert_close(block(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "regnetx_002", "mobilenetv3_small_050"])
@torch.no_grad()
def test_backbones_of_several_batches_and_sizes(name: str) -> None:
    """Weights are packed anew for another shape, and a batch is its rows."""
    torch.manual_seed(0)
    plain = trace_backbone(Backbone(name).body).to(memory_format=torch.channels_last)
    fast = copy.deepcopy(plain)
    use_packed(fast)
    for shape in [(1, 3, 64, 64), (3, 3, 64, 64), (1, 3, 96, 96), (1, 3, 64, 64)]:
        x = torch.randn(shape)
        expected, got = plain(x)[-1], fast(x)[-1]
        scale = expected.abs().max()
        torch.testing.assert_close(got / scale, expected / scale, atol=1e-5, rtol=0)


REFUSED = {
    "named padding": nn.Conv2d(8, 8, 3, padding="same"),
    "reflected": nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"),
    "double": nn.Conv2d(8, 8, 3).double(),
    "no convolution": nn.Linear(8, 8),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_does_not_fit(name: str) -> None:
    assert not fits(REFUSED[name])


def test_without_onednn_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    block = symbolic_trace(Block())
    use_packed(block)
    assert not any(isinstance(m, PackedConv2d) for m in block.modules())
