"""Which of PyTorch's operators a step spends its time in."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile

SHOWN = 15  # operators, those that take longest


class Operator(NamedTuple):
    """What an operator took in one step, without those that it calls."""

    name: str
    seconds: float  # of the GPU, on one
    share: float  # of all operators' time
    calls: int


def time_operators(step: Callable[[], None], device: torch.device) -> list[Operator]:
    """Run a step under PyTorch's profiler; the operators that take longest, the longest first."""
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    with profile(activities=activities) as profiled:
        step()
    averages = profiled.key_averages()
    seconds = {
        event.key: (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e6
        for event in averages
    }
    calls, total = {event.key: event.count for event in averages}, sum(seconds.values())
    names = sorted(seconds, key=lambda name: -seconds[name])[:SHOWN]
    return [Operator(name, seconds[name], seconds[name] / total, calls[name]) for name in names]
