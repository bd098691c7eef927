"""Which device computes, and how many cores this process may use.

torch is imported by the functions that deal with its devices. ONNX Runtime chooses its own
providers (lib/models/aiatrack/onnx/session.py).
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds of CPU in each period


def choose_device(device: str | torch.device) -> torch.device:
    """Resolve "auto" and check that the device exists.

    Raises:
        ValueError: unknown, or not on this machine.
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        count = torch.cuda.device_count()
        raise ValueError(
            f"device {str(device)!r} cannot be used here ({str(error).splitlines()[0]}); "
            f"this machine has cpu{''.join(f', cuda:{i}' for i in range(count))}; 'auto' chooses"
        ) from error
    return chosen


def device_name(device: torch.device) -> str:
    """Name of the GPU, or "cpu"."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has finished its work; does nothing on a CPU."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def usable_cores() -> int:
    """Number of cores for this process: OMP_NUM_THREADS where set, else `allowed_cores`."""
    if (threads := os.environ.get("OMP_NUM_THREADS", "")).isdecimal() and int(threads) > 0:
        return int(threads)
    return allowed_cores()


def allowed_cores() -> int:
    """Number of cores that the CPU affinity and the container's quota allow."""
    has_affinity = hasattr(os, "sched_getaffinity")  # Linux alone
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    try:
        quota, period = CGROUP_QUOTA.read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no container, or quota "max"
        return cores
