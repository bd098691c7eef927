"""Write the graphs of graphs.py as ONNX files.

The network is the optimized one (fast/factored.py), which ONNX Runtime too runs faster than the
eager one. Its position encodings are computed in the graph, so that padded crops need no other.
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.fast.factored import optimize_network
from lib.models.aiatrack.onnx.contract import (
    INPUTS,
    METADATA,
    OUTPUTS,
    GraphFacts,
    require_packages,
)
from lib.models.aiatrack.onnx.graphs import GRAPHS

OPSET = 18


def example_inputs(
    model: AiATrack, size: int, ensemble: int, seed: int = 0
) -> dict[str, dict[str, Tensor]]:
    """Make inputs of both graphs: random crops, padded on the left where the seed is odd.

    Args:
        model: eager; its own keys and values of a random frame are the references.
        size: S. ensemble: R.

    Returns:
        Graph name -> input name -> tensor on the CPU.
    """
    draw = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 1, 3, size, size, generator=draw)
    mask = torch.zeros(1, size, size, dtype=torch.bool)
    mask[..., : size // 5 * (seed % 2)] = True
    box = torch.tensor([[0.4, 0.35, 0.2, 0.3]])
    with torch.no_grad():
        *long, key, value, inner_pos = GRAPHS["memorize"](model)(images[0], mask, box)
    recent = (torch.cat([x] * ensemble, -2) for x in (key, value, inner_pos))
    memorize, track = (images[0], mask, box), (images[1], mask, *long, inner_pos, *recent)
    inputs = {"memorize": memorize, "track": track}
    return {name: dict(zip(INPUTS[name], inputs[name], strict=True)) for name in GRAPHS}


def optimize_for_export(model: AiATrack) -> AiATrack:
    """Optimize an eager network, but without the short cut for unpadded crops, a branch."""
    optimized = optimize_network(model)
    optimized.positions = model.positions
    return optimized.to(memory_format=torch.contiguous_format)


def export_graph(model: AiATrack, inputs: dict[str, Tensor], facts: GraphFacts, path: Path) -> None:
    """Write one graph with its facts, and check that it is a valid file.

    Args:
        model: from `optimize_for_export`.
        inputs: of this graph, from `example_inputs`; their shapes are the file's.

    Raises:
        RuntimeError: cannot be exported here. OSError: cannot write.
    """
    require_packages()
    import onnx  # only this file needs it

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's and onnxscript's own deprecations
        program = torch.onnx.export(
            GRAPHS[facts.graph](model).eval(),
            tuple(inputs.values()),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=INPUTS[facts.graph],
            output_names=OUTPUTS[facts.graph],
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    program.model.metadata_props[METADATA] = facts.to_text()
    program.save(path, external_data=False)
    onnx.checker.check_model(path, full_check=True)
