"""Convolutions of a traced backbone as oneDNN runs them fastest: packed weights, fused neighbours.

PyTorch's own call brings the weights into oneDNN's order anew for each frame, and writes a map
three times where a convolution is followed by an addition and a ReLU. The operators here are those
that torch.compile uses on CPUs, called without compiling anything; results agree to rounding.
Neighbours: inference.py traces the backbone, winograd.py takes what it computes faster still.
"""

import operator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule, Node

ADDITIONS = (operator.add, operator.iadd, torch.add)
RELUS = (F.relu, torch.relu, "relu", "relu_")


class PackedConv2d(nn.Module):
    """A convolution, then an addition and a ReLU where they follow it."""

    def __init__(self, plain: nn.Conv2d, *, relu: bool) -> None:
        """Take a convolution that `fits` accepts."""
        super().__init__()
        self.geometry = (plain.padding, plain.stride, plain.dilation, plain.groups)
        self.weight, self.bias = plain.weight, plain.bias
        self.after = ("relu" if relu else None, [], None)
        self._packed: tuple[torch.Size, Tensor] | None = None

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H', W'); `other` of that shape is added before the ReLU."""
        weights = (self._pack(x.shape), self.bias, *self.geometry)
        if other is None:
            name, scalars, algorithm = self.after
            name = name or "none"
            return torch.ops.mkldnn._convolution_pointwise(x, *weights, name, scalars, algorithm)
        return torch.ops.mkldnn._convolution_pointwise.binary(
            x, other, *weights, "add", 1.0, *self.after
        )

    def _pack(self, shape: torch.Size) -> Tensor:
        """Weights in the order that suits an input's shape: that of the last call, or anew."""
        packed = self._packed
        if packed is None or packed[0] != shape:
            pack = torch.ops.mkldnn._reorder_convolution_weight
            packed = self._packed = (shape, pack(self.weight, *self.geometry, list(shape)))
        return packed[1]


def use_packed(body: GraphModule) -> None:
    """Replace, in place, the convolutions of a traced network on the CPU, where torch has oneDNN.

    Residual additions are taken to be of two maps of one shape, as those of all timm networks are.
    """
    if not torch.backends.mkldnn.is_available():
        return
    for node in list(body.graph.nodes):
        if node.op == "call_module" and fits(body.get_submodule(node.target)):
            _replace(body, node)
    body.graph.lint()
    body.recompile()


def fits(module: nn.Module) -> bool:
    """Whether a module is a convolution that `PackedConv2d` computes."""
    return (
        type(module) is nn.Conv2d
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and module.weight.dtype in (torch.float32, torch.bfloat16)
    )


def _replace(body: GraphModule, node: Node) -> None:
    """Replace a convolution, and what only its result goes into, by one module."""
    replaced, inputs = [node], list(node.args)
    follower = _only_user(node)
    if follower is not None and _is_addition(follower):
        inputs.append(next(a for a in follower.args if a is not node))
        replaced.append(follower)
        follower = _only_user(follower)
    relu = follower is not None and _is_relu(body, follower)
    replaced += [follower] if relu else []
    packed = PackedConv2d(body.get_submodule(node.target), relu=relu)
    body.set_submodule(node.target, packed)
    with body.graph.inserting_after(replaced[-1]):
        fused = body.graph.call_module(node.target, tuple(inputs))
    replaced[-1].replace_all_uses_with(fused)
    for old in reversed(replaced):
        body.graph.erase_node(old)


def _only_user(node: Node) -> Node | None:
    """What takes a node's result, if that is one node."""
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_addition(node: Node) -> bool:
    """Whether a node adds two maps."""
    two_maps = len(node.args) == 2 and all(isinstance(a, Node) for a in node.args)
    distinct = two_maps and node.args[0] is not node.args[1]
    return node.op == "call_function" and node.target in ADDITIONS and distinct and not node.kwargs


def _is_relu(body: GraphModule, node: Node) -> bool:
    """Whether a node is a ReLU, as a module, a function or a method."""
    if node.op == "call_module":
        return type(body.get_submodule(node.target)) is nn.ReLU
    return node.op in ("call_function", "call_method") and node.target in RELUS
