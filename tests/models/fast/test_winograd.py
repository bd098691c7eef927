"""Guards Winograd's convolution: the direct one's numbers, and only where it can compute them."""

import copy

import pytest
import torch
from torch import nn

from lib.models.aiatrack.fast.winograd import MIN_TILES, WinogradConv2d, suits_winograd

SHAPES = [  # batch, channels in and out, height, width
    (1, 128, 64, 20, 20),  # whole tiles
    (2, 128, 32, 16, 9),  # a tile that sticks out on the right
    (20, 160, 8, 3, 5),  # less than a tile
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("relu", [True, False])
@torch.no_grad()
def test_as_near_to_the_exact_result_as_the_direct_kernel(
    shape: tuple, bias: bool, relu: bool
) -> None:
    torch.manual_seed(0)
    batch, inputs, outputs, height, width = shape
    plain = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
    x = torch.randn(batch, inputs, height, width)
    exact = copy.deepcopy(plain).double()(x.double())
    exact = exact.relu() if relu else exact
    got = WinogradConv2d(plain, NotHere(), relu=relu)(x)
    assert got.shape == exact.shape and got.stride(1) == 1  # channels last, maybe cut out
    # The direct kernel's error is 1e-6 of the greatest value, Winograd's 3e-6.
    assert (got - exact).abs().max() < 1e-5 * exact.abs().max()


class NotHere(nn.Module):
    """What must not be called."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise AssertionError(f"called with {tuple(x.shape)}")


@torch.no_grad()
def test_few_tiles_are_computed_directly() -> None:
    plain = nn.Conv2d(128, 8, 3, padding=1)
    direct = nn.Sequential(copy.deepcopy(plain), nn.ReLU())
    fast = WinogradConv2d(plain, direct, relu=True)
    few, enough = (torch.randn(1, 128, 4, 4 * tiles) for tiles in (MIN_TILES - 1, MIN_TILES))
    assert torch.equal(fast(few), direct(few))
    assert not torch.equal(fast(enough), direct(enough))  # other last bits


REFUSED = {
    "few channels": nn.Conv2d(64, 64, 3, padding=1),
    "1x1": nn.Conv2d(128, 8, 1),
    "stride": nn.Conv2d(128, 8, 3, padding=1, stride=2),
    "dilation": nn.Conv2d(128, 8, 3, padding=1, dilation=2),
    "padding": nn.Conv2d(128, 8, 3),
    "named padding": nn.Conv2d(128, 8, 3, padding="same"),
    "reflected": nn.Conv2d(128, 8, 3, padding=1, padding_mode="reflect"),
    "groups": nn.Conv2d(128, 128, 3, padding=1, groups=2),
    "no convolution": nn.Linear(128, 8),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_does_not_fit(name: str) -> None:
    assert not suits_winograd(REFUSED[name])
