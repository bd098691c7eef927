"""What a tracker is made from and how its network runs, checked; `load_tracker` explains each."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from lib.models.aiatrack.fast.precision import computes_bf16_natively
from lib.models.aiatrack.fast.quantized import check_int8

logger = logging.getLogger(__name__)

CHOICES = {
    "pooling": ("closed_form", "cuda"),
    "precision": ("fp32", "bf16", "fp16", "int8"),
    "backend": ("torch", "onnx"),
}
TORCH_ONLY = ("checkpoint", "pooling", "plain", "precision", "compile", "calibration")


@dataclass(frozen=True)
class TrackerOptions:
    """The arguments of `load_tracker`; ValueError where they do not go together."""

    config: str | Path = "baseline"
    checkpoint: str | Path | None = None
    dataset: str = "otb"
    device: str | torch.device = "auto"
    hyper: tuple[int, int, float] | None = None  # capacity, ensemble, threshold
    pooling: str = "closed_form"
    plain: bool = False
    precision: str = "fp32"
    compile: bool = False
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
        if self.plain and (self.precision != "fp32" or self.compile):
            given = f"precision {self.precision!r}, compile {self.compile}"
            raise ValueError(f"plain runs the network as trained, in fp32, eager; given: {given}")
        if self.calibration and self.precision != "int8":
            raise ValueError(f"calibration is for int8 only; given: precision {self.precision!r}")
        if self.precision == "int8" and self.compile:
            raise ValueError("torch.compile does not take the int8 kernels; choose one of the two")

    def check_device(self, device: torch.device) -> None:
        """Warn where a device runs the network slowly; ValueError, RuntimeError where it cannot."""
        if self.precision == "fp16" and device.type != "cuda":
            raise ValueError(f"fp16 needs a GPU; on {device} there are fp32, bf16 and int8")
        if self.precision == "int8" and device.type != "cpu":
            raise ValueError(f"int8 is for CPUs; on {device} there are fp32, bf16 and fp16")
        if self.precision == "int8":
            check_int8()
        if self.precision == "bf16" and not computes_bf16_natively(device):
            logger.warning("%s computes bf16 by way of fp32: that is slower than fp32", device)
