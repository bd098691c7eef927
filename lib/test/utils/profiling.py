"""Where a frame's time goes: stages, operations, memory, beside the machine's own speed.

Used by tracking/profile_model.py. Two trackers, the plain network and the rearranged one, take
turns on the same frames in one process, and a plain matrix product of as many operations takes its
turn with them, so that ratios hold on a noisy machine too.
"""

import copy
import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.inference import prepare_for_inference
from lib.test.parameter.aiatrack import TrackerParams
from lib.test.tracker.aiatrack import AiATrackTracker

STAGES = ("crop", "backbone", "encoder", "decoder", "heads", "memory", "rest")


class StageClock:
    """Times the stages of a tracker's frames by wrapping what they call."""

    def __init__(self, tracker: AiATrackTracker) -> None:
        """Wrap a tracker and its network, which then belong to this clock."""
        self.tracker = tracker
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._now: dict[str, float] = defaultdict(float)
        self._operations: dict[str, int] = defaultdict(int)
        self._counter: FlopCounterMode | None = None
        model = tracker.model
        owners = [
            ("crop", tracker, "_tensors"),
            ("backbone", model.backbone, "forward"),
            ("backbone", model.bottleneck, "forward"),
            ("encoder", model.transformer.encoder, "forward"),
            ("decoder", model.transformer.decoder, "forward"),
            ("heads", model.box_head, "forward"),
            ("heads", model.iou_head, "forward"),
            ("memory", model, "memorize"),
        ]
        for stage, owner, name in owners:
            setattr(owner, name, self._timed(stage, getattr(owner, name)))

    def start(self, image: np.ndarray, box: list[float]) -> None:
        """Initialise the tracker."""
        self.tracker.initialize(image, box)
        remember = self.tracker.memory.remember
        self.tracker.memory.remember = self._timed("memory", remember)

    def frame(self, image: np.ndarray) -> float:
        """Track a frame; returns its seconds and notes those of its stages."""
        self._now.clear()
        self._synchronise()
        start = time.perf_counter()
        self.tracker.track(image)
        self._synchronise()
        total = time.perf_counter() - start
        self._now["rest"] = total - sum(self._now.values())
        for stage in STAGES:
            self.seconds[stage].append(self._now[stage])
        self.seconds["frame"].append(total)
        return total

    def operations(self, image: np.ndarray) -> dict[str, int]:
        """Floating-point operations of each stage of a frame."""
        self._operations = defaultdict(int)
        with FlopCounterMode(display=False) as counter:
            self._counter = counter
            self.tracker.track(image)
            self._counter = None
        return {**self._operations, "frame": counter.get_total_flops()}

    def _timed(self, stage: str, function: Callable) -> Callable:
        def run(*args: Any, **kwargs: Any) -> Any:
            before = self._counter.get_total_flops() if self._counter else 0
            self._synchronise()
            start = time.perf_counter()
            result = function(*args, **kwargs)
            self._synchronise()
            self._now[stage] += time.perf_counter() - start
            if self._counter:
                self._operations[stage] += self._counter.get_total_flops() - before
            return result

        return run

    def _synchronise(self) -> None:
        if self.tracker.device.type == "cuda":
            torch.cuda.synchronize(self.tracker.device)


def profile_tracking(
    model: AiATrack,
    params: TrackerParams,
    device: torch.device,
    frames: int = 40,
    image_size: tuple[int, int] = (1280, 720),
) -> dict[str, Any]:
    """Profile a network's tracking, plain and rearranged.

    Args:
        model: with any weights; it is copied.
        params: the memory is filled before the measurement, every frame being remembered.
        frames: measured, after warming up.
        image_size: width and height of the random frames, pixels.

    Returns:
        Plain values for JSON; times in milliseconds, operations in GFLOP, memory in bytes.
    """
    params = TrackerParams(params.search_factor, params.search_size, 20, params.ensemble, -1e9)
    image = _random_image(image_size)
    box = [image_size[0] / 2, image_size[1] / 2, image_size[0] / 14, image_size[1] / 8]
    networks = {"rearranged": prepare_for_inference(model), "plain": copy.deepcopy(model)}
    clocks = {name: StageClock(AiATrackTracker(n, params, device)) for name, n in networks.items()}
    operations = {}
    for name, clock in clocks.items():
        clock.start(image, box)
        for _ in range(4):
            clock.tracker.track(image)
        operations[name] = clock.operations(image)
    product = _MatrixProduct(operations["plain"]["frame"], device)
    ratios: dict[str, list[float]] = defaultdict(list)
    for _ in range(frames):
        plain, fast = clocks["plain"].frame(image), clocks["rearranged"].frame(image)
        matrix = product.seconds()
        ratios["speedup over plain"].append(plain / fast)
        ratios["plain over matrix product"].append(plain / matrix)
        ratios["rearranged over matrix product"].append(fast / matrix)
    kept = clocks["rearranged"].tracker.memory
    return {
        "device": _device_name(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "parameters": sum(p.numel() for p in model.parameters()),
        "frames": frames,
        "image": list(image_size),
        "references": 1 + params.ensemble,
        "GFLOP": {n: {k: v / 1e9 for k, v in o.items()} for n, o in operations.items()},
        "milliseconds": {name: _summary(clock.seconds) for name, clock in clocks.items()},
        "FPS": {n: 1 / statistics.median(c.seconds["frame"]) for n, c in clocks.items()},
        "matrix product GFLOP/s": product.rate(),
        "median ratios": {name: statistics.median(values) for name, values in ratios.items()},
        "bytes a remembered frame": kept.bytes_per_frame(),
        "peak memory": _peak_memory(device),
    }


class _MatrixProduct:
    """A square fp32 matrix product, scaled to a number of operations."""

    SIDE = 2048

    def __init__(self, operations: int, device: torch.device) -> None:
        self._a, self._b = (torch.randn(self.SIDE, self.SIDE, device=device) for _ in range(2))
        self._device, self._factor = device, operations / (2 * self.SIDE**3)
        self._seconds: list[float] = []
        for _ in range(2):
            self.seconds()
        self._seconds.clear()

    def seconds(self) -> float:
        """Time that the operations take as one product."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        start = time.perf_counter()
        _ = self._a @ self._b
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self._seconds.append(time.perf_counter() - start)
        return self._seconds[-1] * self._factor

    def rate(self) -> float:
        """Median GFLOP/s."""
        return 2 * self.SIDE**3 / statistics.median(self._seconds) / 1e9


def _random_image(size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 noise from a fixed seed."""
    return np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)


def _summary(seconds: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Median and 95th percentile of each stage, milliseconds."""
    return {
        stage: {"p50": float(np.median(s)) * 1e3, "p95": float(np.percentile(s, 95)) * 1e3}
        for stage, s in seconds.items()
    }


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _peak_memory(device: torch.device) -> int:
    """Bytes: of the process on a CPU, of tensors on a GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
