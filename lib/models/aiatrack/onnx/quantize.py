"""An int8 backbone in an ONNX file: ONNX Runtime's static quantization of the graph as exported.

Weights have one scale per channel; the ranges of activations, from the smallest to the largest
value, are observed on crops. What follows the backbone stays fp32. Neighbour: export.py.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from lib.models.aiatrack.onnx.contract import METADATA, GraphFacts

BACKBONE = "'model.backbone.0.body"  # in the names of modules that the exporter keeps for each node
LAYERS = ["Conv", "Add", "Relu", "MaxPool"]  # those that have int8 kernels
PREPARED = {"onnx.quant.pre_process": "onnxruntime.quant"}  # shapes are known: no warning


def quantize_graph(source: Path, target: Path, crops: np.ndarray) -> None:
    """Write a graph with its backbone in int8.

    Args:
        source: an exported file. crops: (K, 3, S, S) float32 RGB in [0, 1].

    Raises:
        RuntimeError: the file does not say which of its nodes are the backbone's.
    """
    model = onnx.load(source)
    backbone = [node.name for node in model.graph.node if BACKBONE in _module_names(node)]
    if not backbone:
        raise RuntimeError(f"{source}: no node of a backbone; export with another torch")
    facts = {p.key: p.value for p in model.metadata_props}
    onnx.helper.set_model_props(model, facts | PREPARED)
    quantize_static(
        model,
        str(target),
        _Crops(source, crops),
        op_types_to_quantize=LAYERS,
        nodes_to_quantize=backbone,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    made = GraphFacts.from_text(facts[METADATA])
    made = made._replace(origin={**made.origin, "precision": "int8"})
    quantized = onnx.load(target)
    onnx.helper.set_model_props(quantized, facts | {METADATA: made.to_text()})
    onnx.save(quantized, target)


def _module_names(node: Any) -> str:
    return "".join(p.value for p in node.metadata_props if p.key.endswith("name_scopes"))


class _Crops(CalibrationDataReader):
    """What the graph is fed while ranges are observed; only the image reaches the backbone."""

    def __init__(self, path: Path, crops: np.ndarray) -> None:
        inputs = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()
        types = {"tensor(bool)": np.bool_, "tensor(float)": np.float32}
        others = {x.name: np.zeros(x.shape, types[x.type]) for x in inputs}
        self._feeds: Iterator[dict[str, Any]] = ({**others, "image": crop[None]} for crop in crops)

    def get_next(self) -> Any:
        return next(self._feeds, None)
