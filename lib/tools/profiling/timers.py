"""Timers: of the stages of a tracker's frames, and of a matrix product to compare with."""

import math
import statistics
import time
from array import array
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count, sdpa_flop_count

from lib.models.aiatrack.fast import support
from lib.test.tracker.aiatrack import AiATrackTracker
from lib.test.tracker.graphed import GraphedTracker
from lib.utils.device import synchronize

STAGES = ("crop", "backbone", "encoder", "decoder", "heads", "memory", "rest")


def timed(step: Callable[[], Any], device: torch.device) -> tuple[Any, float]:
    """Take a step to its end on a device; its result and seconds."""
    synchronize(device)
    start = time.perf_counter()
    result = step()
    synchronize(device)
    return result, time.perf_counter() - start


class StageTimer:
    """Times the stages of a tracker's frames by wrapping what it and its network call."""

    def __init__(self, tracker: AiATrackTracker) -> None:
        self.tracker = tracker
        self.seconds: dict[str, array] = defaultdict(lambda: array("d"))
        self._frame: dict[str, float] = defaultdict(float)  # seconds of each stage of one frame
        self._operations: dict[str, int] = defaultdict(int)
        self._counter: FlopCounterMode | None = None
        self._enabled = True
        model = tracker.model
        self._wrap("crop", tracker, "crop_search_region")
        if isinstance(tracker, GraphedTracker):  # what happens within a graph cannot be timed
            return
        self._wrap("crop", tracker, "_tensors")
        self._wrap("backbone", model.backbone, "forward")
        self._wrap("backbone", model.bottleneck, "forward")
        self._wrap("encoder", model.transformer.encoder, "forward")
        self._wrap("decoder", model.transformer.decoder, "forward")
        self._wrap("heads", model.box_head, "forward")
        self._wrap("heads", model.iou_head, "forward")
        self._wrap("memory", model, "memorize")

    def start(self, image: np.ndarray, box: list[float]) -> None:
        """Start the tracker on a box (x, y, w, h in image pixels)."""
        self.tracker.initialize(image, box)
        self._wrap("memory", self.tracker.memory, "memorize")

    def frame(self, image: np.ndarray) -> float:
        """Track a frame; return its seconds and note those of its stages.

        On a GPU the stages are measured on a frame of their own: to time one is to wait for it.
        """
        total = self._track(image)
        for stage in STAGES:
            self.seconds[stage].append(self._frame[stage])
        if self.tracker.device.type == "cuda":
            self._enabled = False
            total = self._track(image)
            self._enabled = True
        self.seconds["frame"].append(total)
        return total

    def _track(self, image: np.ndarray) -> float:
        self._frame = defaultdict(float)
        _, total = timed(lambda: self.tracker.track(image), self.tracker.device)
        self._frame["rest"] = total - sum(self._frame.values())
        return total

    def percentiles(self) -> dict[str, dict[str, float]]:
        """Median and 95th percentile of each stage, milliseconds."""
        return {
            stage: {"p50": float(np.median(s)) * 1e3, "p95": float(np.percentile(s, 95)) * 1e3}
            for stage, s in self.seconds.items()
        }

    def operations(self, image: np.ndarray) -> dict[str, int]:
        """Floating-point operations of each stage of a frame."""
        self._operations = defaultdict(int)
        with FlopCounterMode(display=False, custom_mapping=_uncounted_operators()) as counter:
            self._counter = counter
            self.tracker.track(image)
            self._counter = None
        return {**self._operations, "frame": counter.get_total_flops()}

    def _wrap(self, stage: str, owner: object, name: str) -> None:
        """Time a method, and count its operations while there is a counter."""
        function = getattr(owner, name)

        def run(*args: Any, **kwargs: Any) -> Any:
            if not self._enabled:
                return function(*args, **kwargs)
            before = self._counter.get_total_flops() if self._counter else 0
            result, seconds = timed(lambda: function(*args, **kwargs), self.tracker.device)
            self._frame[stage] += seconds
            if self._counter:
                self._operations[stage] += self._counter.get_total_flops() - before
            return result

        setattr(owner, name, run)


def _uncounted_operators() -> dict[Any, Callable[..., int]]:
    """Operators that PyTorch's counter does not know -> their operations from their arguments."""
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    prepacked: dict[str, Callable[..., int]] = {  # see lib/models/aiatrack/fast/prepacked.py
        "_convolution_pointwise": _packed_convolution_flops,
        "_convolution_pointwise_": lambda _, *rest, **shape: conv_flop_count(*rest[:2], **shape),
        "_linear_pointwise": lambda x, *_, out_shape: 2 * math.prod(x) * out_shape[-1],
    }
    known = {support.onednn(name): count for name, count in prepacked.items()}
    known.pop(None, None)
    return {attention: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v), **known}


def _packed_convolution_flops(x: Any, second: Any, third: Any, *_: Any, out_shape: Any) -> int:
    has_addend = third is not None and len(third) == 4  # input, addend, weight; or input, weight
    return conv_flop_count(x, third if has_addend else second, out_shape)


class MatrixProduct:
    """A square fp32 matrix product, scaled to a number of operations."""

    SIDE = 2048

    def __init__(self, operations: int, device: torch.device) -> None:
        self._a, self._b = (torch.randn(self.SIDE, self.SIDE, device=device) for _ in range(2))
        self._device, self._factor = device, operations / (2 * self.SIDE**3)
        self._seconds: list[float] = []
        for _ in range(2):  # to warm up
            self.seconds()
        self._seconds.clear()

    def seconds(self) -> float:
        """Multiply once; the seconds that the operations would take."""
        self._seconds.append(timed(lambda: self._a @ self._b, self._device)[1])
        return self._seconds[-1] * self._factor

    def rate(self) -> float:
        """Median GFLOP/s."""
        return 2 * self.SIDE**3 / statistics.median(self._seconds) / 1e9
