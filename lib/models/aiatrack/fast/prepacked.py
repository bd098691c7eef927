"""Layers as CPUs run them fastest: prepacked weights, fused neighbours, Winograd's convolutions.

PyTorch's own calls bring weights into oneDNN's order anew for each frame, and write a map three
times where a layer is followed by an addition and a ReLU. The operators here are those that
torch.compile uses on CPUs, called without compiling anything; results agree to rounding.
Neighbours: factored.py traces what is replaced here, support.py looks the operators up, winograd.py
takes 3x3 convolutions in fp32.
"""

import abc
import operator
from collections.abc import Callable
from typing import TypeGuard, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.fast import support
from lib.models.aiatrack.fast.factored import layer_of, trace
from lib.models.aiatrack.fast.precision import computes_bf16_natively
from lib.models.aiatrack.fast.winograd import WinogradConv2d, suits_winograd
from lib.models.aiatrack.references import References
from lib.models.aiatrack.transformer import DecoderLayer

ADDITIONS = (operator.add, operator.iadd, torch.add)
RELUS = (F.relu, torch.relu, "relu", "relu_")


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


class PrepackedConv2d(_Prepacked):
    """A convolution, then an addition and a ReLU where they follow it."""

    def __init__(self, conv: nn.Conv2d, *, relu: bool = False, overwrites: bool = False) -> None:
        """Take a convolution that `can_prepack` accepts.

        Args:
            overwrites: the sum is written where the addend was, which nothing else needs any more.
        """
        super().__init__(conv)
        self.geometry = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self.relu, self.overwrites = relu, overwrites

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H', W'); `other` of that shape is added before the ReLU."""
        weights = (self._pack(x.shape), self.bias, *self.geometry)
        if other is None:
            convolve = support.onednn("_convolution_pointwise")
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


class TracedDecoderLayer(DecoderLayer):
    """A decoder layer whose `forward` is a traced graph."""

    def __init__(self, layer: DecoderLayer) -> None:
        """Trace a layer; the projections of references stay as they are."""
        nn.Module.__init__(self)
        self.long_term_attn, self.short_term_attn = layer.long_term_attn, layer.short_term_attn
        self.graph = trace(layer)

    def forward(self, x: Tensor, first: References, recent: References) -> Tensor:
        """As `DecoderLayer.forward`."""
        return self.graph(x, first, recent)


def prepack(model: AiATrack, *, winograd: bool) -> None:
    """Replace, in place, layers of an optimized network on the CPU; Winograd's for fp32 only."""
    model.transformer.set_submodule("encoder", trace(model.transformer.encoder))
    layers = model.transformer.decoder.layers
    layers[0] = TracedDecoderLayer(cast(DecoderLayer, layers[0]))
    for module in list(model.modules()):
        if isinstance(module, GraphModule):
            prepack_graph(module, winograd=winograd)
    if can_prepack(model.bottleneck):
        model.set_submodule("bottleneck", PrepackedConv2d(model.bottleneck))


def prepack_graph(graph: GraphModule, *, winograd: bool) -> None:
    """Replace, in place, the layers of a traced network for which there is something faster.

    Additions are taken to be of two tensors of one shape, as those of all timm networks are.
    """
    for node in list(graph.graph.nodes):
        layer = layer_of(graph, node)
        if can_prepack(layer):
            _replace(graph, node, layer, winograd=winograd)
    graph.graph.lint()
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


def _replace(
    graph: GraphModule, node: Node, layer: nn.Conv2d | nn.Linear, *, winograd: bool
) -> None:
    """Replace a layer, and what only its result goes into, by one module."""
    replaced, inputs, options = [node], list(node.args), dict[str, bool]()
    is_conv = type(layer) is nn.Conv2d
    # An addition that follows, then a ReLU, are part of it.
    follower = _only_user(node)
    added = follower is not None and _is_addition(follower)
    if follower is not None and added:
        other = next(n for n in follower.all_input_nodes if n is not node)
        if is_conv:
            options["overwrites"] = _is_done_with(graph, other, follower)
        inputs.append(other)
        replaced.append(follower)
        follower = _only_user(follower)
    if (is_conv or not added) and follower is not None and _is_relu(graph, follower):
        options["relu"] = True
        replaced.append(follower)
    prepacked: Callable[..., nn.Module] = PrepackedConv2d if is_conv else PrepackedLinear
    fused = prepacked(layer, **options)
    if winograd and not added and suits_winograd(layer):
        fused = WinogradConv2d(layer, fused, **options)
    # Put it in the place of the last of them.
    target = str(node.target)
    graph.set_submodule(target, fused)
    with graph.graph.inserting_after(replaced[-1]):
        call = graph.graph.call_module(target, tuple(inputs))
    replaced[-1].replace_all_uses_with(call)
    for old in reversed(replaced):
        graph.graph.erase_node(old)


def _only_user(node: Node) -> Node | None:
    """The node that takes another's result, if it is one."""
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_done_with(graph: GraphModule, addend: Node, addition: Node) -> bool:
    """Whether a convolution made the addend, and only convolutions read it, all before this.

    A convolution's result shares no memory with its input.
    """
    others = [user for user in addend.users if user is not addition]
    layers = [layer_of(graph, node) for node in (addend, *others)]
    convolutions = nn.Conv2d | PrepackedConv2d | WinogradConv2d
    made = all(isinstance(layer, convolutions) for layer in layers)
    return made and all(user < addition for user in others)


def _is_addition(node: Node) -> bool:
    """Whether a node adds two different maps."""
    if node.op != "call_function" or node.target not in ADDITIONS or node.kwargs:
        return False
    two = len(node.args) == len(node.all_input_nodes) == 2  # which has each node once
    return two and all(isinstance(a, Node) for a in node.args)


def _is_relu(graph: GraphModule, node: Node) -> bool:
    if node.op in ("call_function", "call_method"):
        return node.target in RELUS
    return type(layer_of(graph, node)) is nn.ReLU
