"""Layers as GPUs run them in fewest kernels: bias, addition and ReLU computed with the layer.

The operators are cuDNN's and cuBLAS's own fusions; results agree to rounding. Neighbours: graphs.py
replaces, support.py looks the operators up, prepacked.py does the same on CPUs.
"""

import logging
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.fast import support
from lib.models.aiatrack.fast.graphs import Convolution, Layer, fuse_graph, trace_transformer

logger = logging.getLogger(__name__)


class FusedConv2d(Convolution):
    """A convolution, then an addition and a ReLU where they follow it."""

    def __init__(self, conv: nn.Conv2d, *, relu: bool) -> None:
        """Take a convolution that `can_fuse` accepts."""
        super().__init__()
        self.conv, self.relu = conv, relu
        self.geometry = (conv.stride, conv.padding, conv.dilation, conv.groups)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H', W'); `other` of that shape is added before the ReLU."""
        if not self.relu:
            return self.conv(x) if other is None else self.conv(x) + other
        weight, rest = self.conv.weight, (self.conv.bias, *self.geometry)
        if other is None:
            return support.private("cudnn_convolution_relu")(x, weight, *rest)
        return support.private("cudnn_convolution_add_relu")(x, weight, other, 1.0, *rest)


class FusedLinear(nn.Module):
    """A linear layer, then a ReLU or an addition where one follows it."""

    def __init__(self, linear: nn.Linear, *, relu: bool) -> None:
        super().__init__()
        self.linear, self.relu = linear, relu

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """(..., C_in) -> (..., C_out), to which `other` of that shape is added."""
        if other is not None:
            return other + self.linear(x)
        if not self.relu:
            return self.linear(x)
        rows, weight = x.flatten(0, -2), self.linear.weight.t()
        hidden = support.private("_addmm_activation")(self.linear.bias, rows, weight)
        return hidden.unflatten(0, x.shape[:-1])


def fuse_layers(model: AiATrack, device: torch.device) -> None:
    """Replace, in place, layers of an optimized network on a GPU, if its torch has the fusions."""
    if (reason := _refusal(device, model.bottleneck.weight.dtype)) is not None:
        logger.warning("torch cannot fuse layers here, going on without it: %s", reason)
        return
    trace_transformer(model)
    for module in list(model.modules()):
        if isinstance(module, GraphModule):
            fuse_graph(module, can_fuse, _fuse)


def can_fuse(layer: nn.Module | None) -> TypeGuard[Layer]:
    """Whether a layer is an ordinary one."""
    if type(layer) is nn.Conv2d:
        return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return type(layer) is nn.Linear and layer.bias is not None


def _fuse(layer: Layer, *, relu: bool, added: bool, overwrites: bool) -> nn.Module:
    if isinstance(layer, nn.Conv2d):
        return FusedConv2d(layer, relu=relu)
    return FusedLinear(layer, relu=relu)


def _refusal(device: torch.device, dtype: torch.dtype) -> str | None:
    """Try each operator on a small map; why one cannot be used, None if all can."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(1, 8, 6, 6, generator=draw).to(device, dtype, memory_format=torch.channels_last)
    conv, linear = nn.Conv2d(8, 8, 3, padding=1).to(x), nn.Linear(6, 6).to(x)
    fused = FusedConv2d(conv, relu=True)
    try:
        pairs = [(fused(x), conv(x)), (fused(x, x), conv(x) + x)]
        pairs.append((FusedLinear(linear, relu=True)(x), linear(x)))
        for got, expected in pairs:
            torch.testing.assert_close(got, expected.relu(), atol=0.02, rtol=0.02)
    except (RuntimeError, TypeError, AssertionError) as error:  # TypeError: there is none
        return str(error).strip().splitlines()[0]
    return None
