"""Layers as CPUs run them fastest: prepacked weights, fused neighbours, Winograd's convolutions.

PyTorch's own calls bring weights into oneDNN's order anew for each frame, and write a map three
times where a layer is followed by an addition and a ReLU. The operators here are those that
torch.compile uses on CPUs, called without compiling anything; results agree to rounding.
Neighbours: graphs.py traces and replaces, support.py looks the operators up, winograd.py
takes 3x3 convolutions in fp32.
"""

import abc
from collections.abc import Callable
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.fast import support
from lib.models.aiatrack.fast.graphs import (
    Convolution,
    Layer,
    fuse_graph,
    layer_of,
    trace_transformer,
)
from lib.models.aiatrack.fast.precision import computes_bf16_natively
from lib.models.aiatrack.fast.winograd import WinogradConv2d, suits_winograd


class _Prepacked(nn.Module, abc.ABC):
    """A layer whose weights are kept in the order that suits one shape of input."""

    def __init__(self, layer: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self._last: tuple[torch.Size, Tensor] | None = None

    def _pack(self, shape: torch.Size) -> Tensor:
        """Weights for an input's shape: those of the last call, or made anew."""
        if self._last is None or self._last[0] != shape:
            self._last = (shape, self._reorder(shape))
        return self._last[1]

    @abc.abstractmethod
    def _reorder(self, shape: torch.Size) -> Tensor: ...


class PrepackedConv2d(_Prepacked, Convolution):
    """A convolution, then an addition and a ReLU where they follow it."""

    def __init__(self, conv: nn.Conv2d, *, relu: bool = False, overwrites: bool = False) -> None:
        """Take a convolution that `can_prepack` accepts.

        Args:
            overwrites: the sum is written where the addend was, which nothing else needs any more.
        """
        super().__init__(conv)
        self.geometry = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self.relu, self.overwrites = relu, overwrites
        self.relu6 = False  # instead of a ReLU, and not after an addition

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H', W'); `other` of that shape is added before the ReLU."""
        weights = (self._pack(x.shape), self.bias, *self.geometry)
        if other is None:
            convolve = support.onednn("_convolution_pointwise")
            if self.relu6:
                return convolve(x, *weights, "hardtanh", [0.0, 6.0], "")
            return convolve(x, *weights, "relu" if self.relu else "none", [], None)
        inputs = (other, x) if self.overwrites else (x, other)
        suffix = "_.binary" if self.overwrites else ".binary"
        convolve = support.onednn("_convolution_pointwise" + suffix)
        return convolve(*inputs, *weights, "add", 1.0, "relu" if self.relu else None, [], None)

    def _reorder(self, shape: torch.Size) -> Tensor:
        reorder = support.onednn("_reorder_convolution_weight")
        return reorder(self.weight, *self.geometry, list(shape))


class PrepackedLinear(_Prepacked):
    """A linear layer, then an addition or a ReLU where one follows it."""

    def __init__(self, linear: nn.Linear, *, relu: bool = False) -> None:
        """Take a linear layer that `can_prepack` accepts."""
        super().__init__(linear)
        self.relu = relu

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """(..., C_in) -> (..., C_out), to which `other` of that shape is added."""
        weights = (self._pack(x.shape), self.bias)
        if other is None:
            multiply = support.onednn("_linear_pointwise")
            return multiply(x, *weights, "relu" if self.relu else "none", [], None)
        return support.onednn("_linear_pointwise.binary")(x, other, *weights, "add")

    def _reorder(self, shape: torch.Size) -> Tensor:
        return support.onednn("_reorder_linear_weight")(self.weight, shape[:-1].numel())


def prepack(model: AiATrack, *, winograd: bool) -> None:
    """Replace, in place, layers of an optimized network on the CPU; Winograd's for fp32 only."""
    trace_transformer(model)
    for module in list(model.modules()):
        if isinstance(module, GraphModule):
            prepack_graph(module, winograd=winograd)
    if can_prepack(model.bottleneck):
        model.set_submodule("bottleneck", PrepackedConv2d(model.bottleneck))


def prepack_graph(graph: GraphModule, *, winograd: bool) -> None:
    """Replace, in place, the layers of a traced network for which there is something faster.

    Additions are taken to be of two tensors of one shape, as those of all timm networks are.
    """

    def fuse(layer: Layer, *, added: bool, **options: bool) -> nn.Module:
        kind: Callable[..., nn.Module] = PrepackedConv2d
        if isinstance(layer, nn.Linear):
            kind = PrepackedLinear
            del options["overwrites"]
        fused = kind(layer, **options)
        if winograd and not added and suits_winograd(layer):
            fused = WinogradConv2d(layer, fused, relu=options["relu"])
        return fused

    fuse_graph(graph, can_prepack, fuse)
    _fuse_relu6(graph)


def _fuse_relu6(graph: GraphModule) -> None:
    """Make EfficientNets' ReLU6, in place, part of the prepacked convolution before it."""
    for node in list(graph.graph.nodes):
        if type(layer_of(graph, node)) is nn.ReLU6:
            before = node.all_input_nodes[0]
            conv = layer_of(graph, before)
            if isinstance(conv, PrepackedConv2d) and len(before.args) == len(before.users) == 1:
                conv.relu6 = True
                node.replace_all_uses_with(before)
                graph.graph.erase_node(node)
    graph.recompile()


def can_prepack(layer: nn.Module | None) -> TypeGuard[nn.Conv2d | nn.Linear]:
    """Whether a layer has a prepacked version that oneDNN computes on this CPU."""
    if type(layer) is nn.Conv2d:
        operators = support.CONVOLUTION
        known = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    elif type(layer) is nn.Linear:
        operators, known = support.LINEAR, True
    else:
        return False
    if layer.weight.dtype == torch.bfloat16:  # without instructions for it oneDNN refuses
        known = known and computes_bf16_natively(torch.device("cpu"))
    else:
        known = known and layer.weight.dtype == torch.float32
    return known and all(support.onednn(name) is not None for name in operators)
