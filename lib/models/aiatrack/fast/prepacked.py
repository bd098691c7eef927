"""Layers as CPUs run them fastest: packed weights, fused neighbours, Winograd's convolutions.

PyTorch's own calls bring weights into oneDNN's order anew for each frame, and write a map three
times where a layer is followed by an addition and a ReLU. The operators here are those that
torch.compile uses on CPUs, called without compiling anything; results agree to rounding.
Neighbours: inference.py traces what is replaced here, winograd.py takes 3x3 convolutions in fp32.
"""

import operator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.fast.factored import trace
from lib.models.aiatrack.fast.precision import computes_bf16_natively
from lib.models.aiatrack.fast.winograd import WinogradConv2d
from lib.models.aiatrack.fast.winograd import fits as fits_winograd
from lib.models.aiatrack.transformer import DecoderLayer, References

ADDITIONS = (operator.add, operator.iadd, torch.add)
RELUS = (F.relu, torch.relu, "relu", "relu_")


class _Packed(nn.Module):
    """A layer whose weights are kept in the order that suits one shape of input."""

    def __init__(self, plain: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = plain.weight, plain.bias
        self._last: tuple[torch.Size, Tensor] | None = None

    def _pack(self, shape: torch.Size) -> Tensor:
        """Weights for an input's shape: those of the last call, or made anew."""
        if self._last is None or self._last[0] != shape:
            self._last = (shape, self._reorder(shape))
        return self._last[1]

    def _reorder(self, shape: torch.Size) -> Tensor:
        raise NotImplementedError


class PrepackedConv2d(_Packed):
    """A convolution, then an addition and a ReLU where they follow it."""

    def __init__(self, plain: nn.Conv2d, *, relu: bool = False, overwrites: bool = False) -> None:
        """Take a convolution that `fits` accepts.

        Args:
            overwrites: the sum is written where the addend was, which nothing else needs any more.
        """
        super().__init__(plain)
        self.geometry = (plain.padding, plain.stride, plain.dilation, plain.groups)
        self.after = ("relu" if relu else None, [], None)
        self.overwrites = overwrites

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H', W'); `other` of that shape is added before the ReLU."""
        weights = (self._pack(x.shape), self.bias, *self.geometry)
        if other is None:
            name, scalars, algorithm = self.after
            name = name or "none"
            return torch.ops.mkldnn._convolution_pointwise(x, *weights, name, scalars, algorithm)
        added = ("add", 1.0, *self.after)
        if self.overwrites:
            return torch.ops.mkldnn._convolution_pointwise_.binary(other, x, *weights, *added)
        return torch.ops.mkldnn._convolution_pointwise.binary(x, other, *weights, *added)

    def _reorder(self, shape: torch.Size) -> Tensor:
        return torch.ops.mkldnn._reorder_convolution_weight(
            self.weight, *self.geometry, list(shape)
        )


class PrepackedLinear(_Packed):
    """A linear layer, then an addition or a ReLU where one follows it."""

    def __init__(self, plain: nn.Linear, *, relu: bool = False) -> None:
        """Take a linear layer that `fits` accepts."""
        super().__init__(plain)
        self.after = "relu" if relu else "none"

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """(..., C_in) -> (..., C_out), to which `other` of that shape is added."""
        weights = (self._pack(x.shape), self.bias)
        if other is None:
            return torch.ops.mkldnn._linear_pointwise(x, *weights, self.after, [], None)
        return torch.ops.mkldnn._linear_pointwise.binary(x, other, *weights, "add")

    def _reorder(self, shape: torch.Size) -> Tensor:
        return torch.ops.mkldnn._reorder_linear_weight(self.weight, shape[:-1].numel())


class TracedDecoderLayer(nn.Module):
    """A decoder layer whose `forward` is a traced graph."""

    def __init__(self, layer: DecoderLayer) -> None:
        """Trace a layer."""
        super().__init__()
        self.project = layer.project
        self.graph = trace(layer)

    def forward(self, x: Tensor, first: References, recent: References) -> Tensor:
        """As `DecoderLayer.forward`."""
        return self.graph(x, first, recent)


PACKED = {nn.Conv2d: PrepackedConv2d, nn.Linear: PrepackedLinear}


def prepack(model: AiATrack, *, winograd: bool) -> None:
    """Replace, in place, layers of a rearranged network on the CPU.

    Args:
        winograd: for fp32 only.
    """
    model.transformer.encoder = trace(model.transformer.encoder)
    layers = model.transformer.decoder.layers
    layers[0] = TracedDecoderLayer(layers[0])
    for module in list(model.modules()):
        if isinstance(module, GraphModule):
            prepack_graph(module, winograd=winograd)
    if fits(model.bottleneck):
        model.bottleneck = PrepackedConv2d(model.bottleneck)


def prepack_graph(graph: GraphModule, *, winograd: bool) -> None:
    """Replace, in place, the layers of a traced network for which there is something faster.

    Additions are taken to be of two tensors of one shape, as those of all timm networks are.
    """
    for node in list(graph.graph.nodes):
        if node.op == "call_module":
            layer = graph.get_submodule(node.target)
            if fits(layer):
                _replace(graph, node, layer, winograd=winograd)
    graph.graph.lint()
    graph.recompile()


def fits(module: nn.Module) -> bool:
    """Whether a module is a layer that there is a packed one of, here."""
    if type(module) not in PACKED or not _computes(module.weight.dtype):
        return False
    if isinstance(module, nn.Conv2d) and (
        module.padding_mode != "zeros" or isinstance(module.padding, str)
    ):
        return False
    return torch.backends.mkldnn.is_available()


def _computes(dtype: torch.dtype) -> bool:
    """Whether oneDNN computes in a type on this CPU; without instructions for bf16 it refuses."""
    if dtype == torch.bfloat16:
        return computes_bf16_natively(torch.device("cpu"))
    return dtype == torch.float32


def _replace(graph: GraphModule, node: Node, layer: nn.Module, *, winograd: bool) -> None:
    """Replace a layer, and what only its result goes into, by one module."""
    replaced, inputs, options = [node], list(node.args), {}
    follower = _only_user(node)
    if added := follower is not None and _is_addition(follower):
        other = next(a for a in follower.args if a is not node)
        if type(layer) is nn.Conv2d:
            options["overwrites"] = _is_done_with(graph, other, follower)
        inputs.append(other)
        replaced.append(follower)
        follower = _only_user(follower)
    takes_relu = type(layer) is nn.Conv2d or not added
    if takes_relu and follower is not None and _is_relu(graph, follower):
        options["relu"] = True
        replaced.append(follower)
    fused = PACKED[type(layer)](layer, **options)
    if winograd and fits_winograd(layer) and not added:
        fused = WinogradConv2d(layer, fused, **options)
    graph.set_submodule(node.target, fused)
    with graph.graph.inserting_after(replaced[-1]):
        call = graph.graph.call_module(node.target, tuple(inputs))
    replaced[-1].replace_all_uses_with(call)
    for old in reversed(replaced):
        graph.graph.erase_node(old)


def _only_user(node: Node) -> Node | None:
    """What takes a node's result, if that is one node."""
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_done_with(graph: GraphModule, addend: Node, addition: Node) -> bool:
    """Whether a convolution made the addend, and only convolutions read it, all before this."""
    others = [user for user in addend.users if user is not addition]
    return all(_is_convolution(graph, node) for node in (addend, *others)) and all(
        user < addition for user in others
    )


def _is_convolution(graph: GraphModule, node: Node) -> bool:
    """Whether a node is a convolution, whose result shares no memory with its input."""
    convolutions = nn.Conv2d | PrepackedConv2d | WinogradConv2d
    return node.op == "call_module" and isinstance(graph.get_submodule(node.target), convolutions)


def _is_addition(node: Node) -> bool:
    """Whether a node adds two maps."""
    two_maps = len(node.args) == 2 and all(isinstance(a, Node) for a in node.args)
    distinct = two_maps and node.args[0] is not node.args[1]
    return node.op == "call_function" and node.target in ADDITIONS and distinct and not node.kwargs


def _is_relu(graph: GraphModule, node: Node) -> bool:
    """Whether a node is a ReLU, as a module, a function or a method."""
    if node.op == "call_module":
        return type(graph.get_submodule(node.target)) is nn.ReLU
    return node.op in ("call_function", "call_method") and node.target in RELUS
