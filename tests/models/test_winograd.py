"""Winograd's convolution gives the direct one's numbers, and takes only what it can compute."""

import copy

import pytest
import torch
from torch import nn

from lib.models.aiatrack.winograd import WinogradConv2d, fits, use_winograd

SHAPES = [  # batch, channels in and out, height, width
    (1, 128, 64, 20, 20),  # whole tiles
    (2, 128, 32, 16, 9),  # a tile that sticks out on the right
    (1, 160, 8, 3, 5),  # less than a tile
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_as_near_to_the_exact_result_as_the_direct_kernel(shape: tuple, bias: bool) -> None:
    torch.manual_seed(0)
    batch, inputs, outputs, height, width = shape
    direct = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
    x = torch.randn(batch, inputs, height, width)
    exact = copy.deepcopy(direct).double()(x.double())
    got = WinogradConv2d(direct)(x)
    assert got.shape == exact.shape and got.stride(1) == 1  # channels last, maybe cut out
    # The direct kernel's error is 1e-6 of the greatest value, Winograd's 3e-6.
    assert (got - exact).abs().max() < 1e-5 * exact.abs().max()


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
    assert not fits(REFUSED[name])


@torch.no_grad()
def test_replaced_in_place() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(128, 128, 3, padding=1), nn.Sequential(REFUSED["stride"]))
    x = torch.randn(1, 128, 8, 8)
    expected = model(x)
    use_winograd(model)
    assert isinstance(model[0], WinogradConv2d) and model[1][0] is REFUSED["stride"]
    assert torch.allclose(model(x), expected, atol=1e-5)
