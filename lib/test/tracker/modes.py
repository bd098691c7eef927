"""Ways to run the network of a tracker, and which of them go together.

Source: the optimized network in fp32 is the default everywhere; everything else is asked for.
Neighbours: {inference,winograd,packed,precision,quantized,compiled}.py of lib/models/aiatrack.
"""

import logging
from typing import NamedTuple

import torch

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.fast.compiled import compile_network
from lib.models.aiatrack.fast.factored import optimize_network
from lib.models.aiatrack.fast.precision import cast_network, computes_bf16_natively
from lib.models.aiatrack.fast.prepacked import prepack
from lib.models.aiatrack.fast.quantized import check_int8, quantize_network
from lib.test.parameter.aiatrack import TrackerParams
from lib.test.tracker.calibration import calibration_crops

logger = logging.getLogger(__name__)

PRECISIONS = ("fp32", "bf16", "fp16", "int8")
REDUCED = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Mode(NamedTuple):
    """How a network runs; see `load_tracker`."""

    plain: bool = False
    precision: str = "fp32"
    compile: bool = False
    calibration: str | None = None


def check_mode(mode: Mode, device: torch.device) -> None:
    """Refuse what does not go together, or not on a device.

    Raises:
        ValueError: says what was asked for and what is possible. RuntimeError: see `check_int8`.
    """
    if mode.precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {PRECISIONS}; given: {mode.precision!r}")
    if mode.plain and (mode.precision != "fp32" or mode.compile):
        raise ValueError(
            "plain runs the network as it was trained, in fp32 and not compiled; given: "
            f"precision {mode.precision!r}, compile {mode.compile}"
        )
    if mode.precision == "fp16" and device.type != "cuda":
        raise ValueError(f"fp16 needs a GPU; on {device} there are fp32, bf16 and int8")
    if mode.calibration is not None and mode.precision != "int8":
        raise ValueError(f"calibration is for int8 only; given: precision {mode.precision!r}")
    if mode.precision == "int8":
        if device.type != "cpu":
            raise ValueError(f"int8 is for CPUs; on {device} there are fp32, bf16 and fp16")
        if mode.compile:
            raise ValueError("torch.compile does not take the int8 kernels; choose one of the two")
        check_int8()
    if mode.precision == "bf16" and not computes_bf16_natively(device):
        logger.warning("%s computes bf16 by way of fp32: that is slower than fp32", device)


def prepare_network(
    model: AiATrack, mode: Mode, params: TrackerParams, device: torch.device
) -> AiATrack:
    """Make the network that runs in a mode; the one given stays as it is, unless the mode is plain.

    Raises:
        ValueError, RuntimeError: see `check_mode`.
        FileNotFoundError, ValueError: nothing to calibrate with.
    """
    check_mode(mode, device)
    if mode.plain:
        return model
    model = optimize_network(model)
    if mode.precision == "int8":
        quantize_network(model, calibration_crops(params, mode.calibration))
    elif mode.precision in REDUCED:
        cast_network(model, REDUCED[mode.precision])
    if device.type == "cpu" and not mode.compile:
        prepack(model, winograd=mode.precision == "fp32")
    if mode.compile:
        compile_network(model.to(device), device, params.ensemble)
    return model
