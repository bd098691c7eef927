"""What a tracker is made from and how its network runs; `load_tracker` explains each.

Checked here: what does not depend on the machine. prepare.py checks the rest.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHOICES = {
    "pooling": ("closed_form", "cuda"),
    "precision": ("fp32", "bf16", "fp16", "int8"),
    "backend": ("torch", "onnx"),
}
TORCH_ONLY = ("checkpoint", "pooling", "plain", "precision", "compile", "graph", "calibration")


@dataclass(frozen=True)
class TrackerOptions:
    """The arguments of `load_tracker`; ValueError where they do not go together."""

    config: str | Path = "baseline"
    checkpoint: str | Path | None = None
    dataset: str = "otb"
    device: Any = "auto"  # or a name, or a torch.device
    hyper: tuple[int, int, float] | None = None  # capacity, ensemble, threshold
    pooling: str = "closed_form"
    plain: bool = False
    precision: str = "fp32"
    compile: bool = False
    graph: bool = False
    calibration: str | Path | None = None  # folder of images, for int8
    backend: str = "torch"
    onnx: str | Path | None = None  # folder of exported files
    lost_below: float | None = None  # predicted IoU

    def __post_init__(self) -> None:
        """Check what does not depend on the machine."""
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise ValueError(f"{name} must be one of {choices}; given: {value!r}")
        if self.lost_below is not None and not 0 <= self.lost_below <= 1:
            raise ValueError(f"lost_below must be in [0, 1]; given: {self.lost_below!r}")
        if self.backend == "torch" and self.onnx is not None:
            raise ValueError(f"ONNX files need backend 'onnx'; given: {str(self.onnx)!r}")
        changed = [n for n in TORCH_ONLY if getattr(self, n) != getattr(TrackerOptions, n)]
        if self.backend == "onnx" and changed:
            names = ", ".join(changed)
            raise ValueError(f"backend 'onnx' takes no {names}: the exported files settle that")
        if self.compile and self.graph:
            raise ValueError("torch.compile has CUDA graphs of its own; choose compile or graph")
        if self.plain and (self.precision != "fp32" or self.compile or self.graph):
            given = f"precision {self.precision!r}, compile {self.compile}, graph {self.graph}"
            raise ValueError(f"plain runs the network as trained, in fp32, eager; given: {given}")
        if self.calibration and self.precision != "int8":
            raise ValueError(f"calibration is for int8 only; given: precision {self.precision!r}")
        if self.precision == "int8" and self.compile:
            raise ValueError("torch.compile does not take the int8 kernels; choose one of the two")
