"""What a tracker is made from and how its network runs: one checked object.

`load_tracker` explains each option; arguments.py reads them from a command line, and worker
processes are sent them. The optimized network in fp32 is the default everywhere.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from lib.models.aiatrack.fast.precision import computes_bf16_natively
from lib.models.aiatrack.fast.quantized import check_int8

logger = logging.getLogger(__name__)

POOLINGS = ("closed_form", "cuda")
PRECISIONS = ("fp32", "bf16", "fp16", "int8")
BACKENDS = ("torch", "onnx")
TORCH_ONLY = ("checkpoint", "pooling", "plain", "precision", "compile", "calibration")


@dataclass(frozen=True)
class TrackerOptions:
    """The arguments of `load_tracker`; ValueError where they do not go together."""

    config: str | Path = "baseline"
    checkpoint: str | Path | None = None
    dataset: str = "otb"
    device: str | torch.device = "auto"
    hyper: tuple[int, int, float] | None = None  # capacity, ensemble, threshold
    pooling: str = "closed_form"  # of POOLINGS
    plain: bool = False
    precision: str = "fp32"  # of PRECISIONS
    compile: bool = False
    calibration: str | Path | None = None  # folder of images, for int8
    backend: str = "torch"  # of BACKENDS
    onnx: str | Path | None = None  # folder of exported files

    def __post_init__(self) -> None:
        """Check what does not depend on the machine."""
        self._check_backend()
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling must be 'closed_form' or 'cuda'; given: {self.pooling!r}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {PRECISIONS}; given: {self.precision!r}")
        if self.plain and (self.precision != "fp32" or self.compile):
            raise ValueError(
                "plain runs the network as it was trained, in fp32 and not compiled; given: "
                f"precision {self.precision!r}, compile {self.compile}"
            )
        if self.calibration and self.precision != "int8":
            raise ValueError(f"calibration is for int8 only; given: precision {self.precision!r}")
        if self.precision == "int8" and self.compile:
            raise ValueError("torch.compile does not take the int8 kernels; choose one of the two")

    def _check_backend(self) -> None:
        """Refuse options of one backend for the other."""
        if self.backend not in BACKENDS:
            raise ValueError(f"backend must be 'torch' or 'onnx'; given: {self.backend!r}")
        if self.backend == "torch" and self.onnx is not None:
            raise ValueError(
                f"a folder of ONNX files needs backend 'onnx'; given: {str(self.onnx)!r}"
            )
        changed = [n for n in TORCH_ONLY if getattr(self, n) != getattr(TrackerOptions, n)]
        if self.backend == "onnx" and changed:
            raise ValueError(
                f"backend 'onnx' takes no {', '.join(changed)}: the exported files settle that"
            )

    def check_device(self, device: torch.device) -> None:
        """Check that the network can run so on a device; warn where that would be slow.

        Raises:
            ValueError: says what is possible there. RuntimeError: see `check_int8`.
        """
        if self.precision == "fp16" and device.type != "cuda":
            raise ValueError(f"fp16 needs a GPU; on {device} there are fp32, bf16 and int8")
        if self.precision == "int8" and device.type != "cpu":
            raise ValueError(f"int8 is for CPUs; on {device} there are fp32, bf16 and fp16")
        if self.precision == "int8":
            check_int8()
        if self.precision == "bf16" and not computes_bf16_natively(device):
            logger.warning("%s computes bf16 by way of fp32: that is slower than fp32", device)
