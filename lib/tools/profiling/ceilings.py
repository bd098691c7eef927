"""What a device can do at most: bytes it copies, operations of a matrix product."""

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from lib.tools.profiling.timers import timed
from lib.utils.device import device_name

REPEATS = 10
COPY_BYTES = {"cuda": 2**32, "cpu": 2**26}  # more than fits any cache
SIDES = {"cuda": 8192, "cpu": 1024}  # of square matrices
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def measure_ceilings(device: torch.device) -> dict[str, Any]:
    """Medians: "copy GB/s", read and written, and "fp32" and "bf16" GFLOP/s, random operands."""
    count = COPY_BYTES[device.type]
    source = torch.empty(count, dtype=torch.uint8, device=device).random_()
    seconds = median_seconds(partial(torch.empty_like(source).copy_, source), device)
    ceilings = {"device": device_name(device), "copy GB/s": 2 * count / seconds / 1e9}
    del source
    side = SIDES[device.type]
    for name, dtype in DTYPES.items():
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        seconds = median_seconds(partial(torch.matmul, a, b), device)
        ceilings[name] = 2 * side**3 / seconds / 1e9
    return ceilings


def median_seconds(step: Callable[[], Any], device: torch.device, repeats: int = REPEATS) -> float:
    """Median seconds of a step on a device, after two to warm up."""
    return statistics.median([timed(step, device)[1] for _ in range(2 + repeats)][2:])
