"""Traced networks: batch norm folded, layers and what follows them replaced by one module.

Neighbours: factored.py traces, prepacked.py (CPUs) and cudnn.py (GPUs) have the replacements.
"""

import operator
from collections.abc import Callable
from typing import TypeGuard, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule, Node, symbolic_trace
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.references import References
from lib.models.aiatrack.transformer import DecoderLayer

ADDITIONS = (operator.add, operator.iadd, torch.add)
Layer = nn.Conv2d | nn.Linear
Fuse = Callable[..., nn.Module]
RELUS = (F.relu, torch.relu, "relu", "relu_")


def buffer(value: Tensor) -> nn.Buffer:
    """Keep a copy of a value that is neither trained nor saved."""
    return nn.Buffer(value.detach().clone(), persistent=False)


class Convolution(nn.Module):
    """What a convolution is replaced by: its result shares no memory with its input either."""


def trace(module: nn.Module) -> GraphModule:
    """Trace layers into a graph, batch norm folded, without what does nothing in evaluation."""
    traced = symbolic_trace(module.eval())
    for node in list(traced.graph.nodes):
        layer = layer_of(traced, node)
        if isinstance(layer, nn.Identity | nn.Dropout) or _fold(traced, node, layer):
            node.replace_all_uses_with(node.args[0])
            traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def layer_of(traced: GraphModule, node: Node) -> nn.Module | None:
    """Look up the layer that a node of a traced network calls; None if it calls none."""
    return traced.get_submodule(str(node.target)) if node.op == "call_module" else None


def _fold(traced: GraphModule, node: Node, norm: nn.Module | None) -> bool:
    """Fold a batch norm into the convolution that is its input, if this is the only use of it."""
    if type(norm) is not nn.BatchNorm2d or not norm.track_running_stats:
        return False
    before = node.all_input_nodes[0]
    conv = layer_of(traced, before)
    if type(conv) is not nn.Conv2d or len(before.users) > 1:
        return False
    traced.set_submodule(str(before.target), fuse_conv_bn_eval(conv, norm))
    return True


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


def trace_transformer(model: AiATrack) -> None:
    """Trace, in place, the encoder and the decoder's layer of an optimized network."""
    model.transformer.set_submodule("encoder", trace(model.transformer.encoder))
    layers = model.transformer.decoder.layers
    layers[0] = TracedDecoderLayer(cast(DecoderLayer, layers[0]))


def fuse_graph(
    graph: GraphModule, suits: Callable[[nn.Module | None], TypeGuard[Layer]], fuse: Fuse
) -> None:
    """Replace, in place, the layers of a traced network that suit, with what follows them.

    Args:
        fuse: makes a module of a layer, whether an addition follows it, whether a ReLU does then,
            and whether the addend may be overwritten.
    """
    for node in list(graph.graph.nodes):
        layer = layer_of(graph, node)
        if suits(layer):
            _replace(graph, node, layer, fuse)
    graph.graph.lint()
    graph.recompile()


def _replace(graph: GraphModule, node: Node, layer: Layer, fuse: Fuse) -> None:
    """Replace a layer, and what only its result goes into, by one module."""
    replaced, inputs = [node], list(node.args)
    overwrites = relu = False
    # An addition that follows, then a ReLU, are part of it.
    follower = _only_user(node)
    added = follower is not None and _is_addition(follower)
    if follower is not None and added:
        other = next(n for n in follower.all_input_nodes if n is not node)
        overwrites = _is_done_with(graph, other, follower)
        inputs.append(other)
        replaced.append(follower)
        follower = _only_user(follower)
    is_conv = isinstance(layer, nn.Conv2d)
    if (is_conv or not added) and follower is not None and _is_relu(graph, follower):
        relu = True
        replaced.append(follower)
    # Put it in the place of the last of them.
    target = str(node.target)
    graph.set_submodule(target, fuse(layer, added=added, relu=relu, overwrites=overwrites))
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
    made = all(isinstance(layer, nn.Conv2d | Convolution) for layer in layers)
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
