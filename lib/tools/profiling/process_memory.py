"""How much memory this process holds."""

import os
import resource
from pathlib import Path

import torch

STATM = Path("/proc/self/statm")


def resident_bytes() -> int | None:
    """Bytes of this process in memory now; None where the system does not say (only Linux does)."""
    if not STATM.is_file():
        return None
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def device_peak_bytes(device: torch.device) -> int:
    """Most bytes there were: of the process on a CPU, of tensors on a GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
