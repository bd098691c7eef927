"""How much memory this process and its tensors take."""

import resource
import sys
import threading
from collections.abc import Callable

import psutil
import torch

from lib.test.tracker.prepare import return_freed_memory

SAMPLE_EVERY = 0.002  # seconds


def resident_bytes() -> int:
    """Bytes of this process in memory now."""
    return psutil.Process().memory_info().rss


def peak_bytes(device: torch.device) -> int:
    """Most bytes there were: of the process on a CPU, of tensors on a GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak_rise(step: Callable[[], None], device: torch.device) -> int:
    """Bytes by which memory rises while a step runs: of tensors on a GPU, the process on a CPU."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        return torch.cuda.max_memory_allocated(device) - before
    return_freed_memory()
    done, sizes = threading.Event(), [resident_bytes()]

    def sample() -> None:
        while not done.wait(SAMPLE_EVERY):
            sizes.append(resident_bytes())

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        step()
    finally:
        done.set()
        sampler.join()
    return max(sizes) - sizes[0]
