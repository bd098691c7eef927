"""Where a frame's time goes: stages, operations, memory, beside the machine's own speed.

Trackers that run the network in different modes take turns on the same frames in one process with
a matrix product of as many operations as the network as trained has, so that ratios hold on a noisy
machine too.
"""

import copy
import statistics
from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from lib.models.aiatrack.aiatrack import AiATrack
from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.plan import plan_clip
from lib.synthetic.procedural import ProceduralTextures
from lib.synthetic.render import render
from lib.test.parameter.aiatrack import TrackerParams
from lib.test.tracker.aiatrack import AiATrackTracker
from lib.test.tracker.options import TrackerOptions
from lib.test.tracker.prepare import check_device, prepare_network
from lib.tools.profiling.memory import peak_bytes, resident_bytes
from lib.tools.profiling.timers import MatrixProduct, StageTimer
from lib.utils.device import device_name

WARM_UP_FRAMES = 4
MAX_PRODUCTS = 100  # frames that a matrix product is measured with
FRAMES_PER_TURN = 5  # that a mode runs in a row: a tracker's caches hold its own network
CLIP_LENGTH = 6  # synthetic frames, shown to and fro
MAX_MEMORY = 20  # frames: full after warming up and a few turns


def profile_tracking(
    model: AiATrack,
    params: TrackerParams,
    device: torch.device,
    modes: dict[str, TrackerOptions],
    frames: int = 40,
    image_size: tuple[int, int] = (1280, 720),
) -> dict[str, Any]:
    """Profile a network's tracking of a synthetic video in several modes; plain values for JSON.

    Args:
        model: with any weights; it is copied.
        params: but for capacity and threshold, as every frame is memorized.
        modes: by name; ratios are to the first.
        frames: measured in each mode, after warming up.
        image_size: width and height of the video, pixels.

    Raises:
        ValueError, RuntimeError: a mode that is not possible on the device.
    """
    for mode in modes.values():
        check_device(mode, device)
    params = replace(params, capacity=MAX_MEMORY, threshold=-1e9)
    video, box_xywh = _make_video(image_size)
    # Count the operations of the network as trained: the matrix product does as many.
    plain = StageTimer(AiATrackTracker(copy.deepcopy(model), params, device))
    plain.start(video[0], box_xywh)
    operations = {"plain": plain.operations(video[1])}
    product = MatrixProduct(operations["plain"]["frame"], device)
    # Start a tracker in each mode.
    timers = {}
    for name, mode in modes.items():
        network = prepare_network(copy.deepcopy(model), mode, params, device)
        timers[name] = _start_timer(AiATrackTracker(network, params, device), video, box_xywh)
        if not mode.compile and mode.precision != "int8":  # neither can be counted
            operations[name] = timers[name].operations(video[0])
    # Let them take turns.
    return {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "parameters": sum(p.numel() for p in model.parameters()),
        "image": list(image_size),
        "references": 1 + params.ensemble,
        "GFLOP": {n: {k: v / 1e9 for k, v in o.items()} for n, o in operations.items()},
        **_measure(timers, product, video, frames),
        "peak memory": peak_bytes(device),
    }


def _start_timer(
    tracker: AiATrackTracker, video: list[np.ndarray], box_xywh: list[float]
) -> StageTimer:
    timer = StageTimer(tracker)
    timer.start(video[0], box_xywh)
    for t in range(WARM_UP_FRAMES):
        tracker.track(video[t % len(video)])
    return timer


def _take_turns(
    timers: dict[str, StageTimer], product: MatrixProduct, video: list[np.ndarray], frames: int
) -> dict[str, dict[str, float]]:
    """Track some frames with each timer in turn; medians over frames of two ratios, per mode."""
    first = next(iter(timers))
    speedups: dict[str, list[float]] = defaultdict(list)
    to_product: dict[str, list[float]] = defaultdict(list)
    for start in range(0, frames, FRAMES_PER_TURN):
        turn = range(start, min(start + FRAMES_PER_TURN, frames))
        seconds = {
            name: [timer.frame(video[t % len(video)]) for t in turn]
            for name, timer in timers.items()
        }
        matrix = [product.seconds() for t in turn if t < MAX_PRODUCTS]
        for name, values in seconds.items():  # there may be fewer products than frames
            speedups[name] += [a / b for a, b in zip(seconds[first], values, strict=True)]
            to_product[name] += [a / b for a, b in zip(values, matrix, strict=False)]
    named = {f"speedup over {first}": speedups, "over matrix product": to_product}
    return {n: {k: statistics.median(v) for k, v in r.items()} for n, r in named.items()}


def _make_video(size: tuple[int, int]) -> tuple[list[np.ndarray], list[float]]:
    """Frames of a synthetic clip, to and fro, and the target's box (xywh) in the first."""
    options = ClipOptions(length=CLIP_LENGTH, width=size[0], height=size[1])
    clip = render(plan_clip(np.random.default_rng(0), ProceduralTextures(), options))
    return [*clip.frames, *clip.frames[-2:0:-1]], clip.boxes_xywh[0].tolist()


def _measure(
    timers: dict[str, StageTimer], product: MatrixProduct, video: list[np.ndarray], frames: int
) -> dict[str, Any]:
    """Let the modes take turns; their figures, memory in bytes."""
    resident = resident_bytes()
    ratios = _take_turns(timers, product, video, frames)
    return {
        "frames": frames,
        "modes": list(timers),
        "milliseconds": {name: timer.percentiles() for name, timer in timers.items()},
        "FPS": {n: 1 / statistics.median(t.seconds["frame"]) for n, t in timers.items()},
        "bytes per memorized frame": {
            name: timer.tracker.memory.bytes_per_frame() for name, timer in timers.items()
        },
        "matrix product GFLOP/s": product.rate(),
        "median ratios": ratios,
        "resident memory": {"after warming up": resident, "at the end": resident_bytes()},
    }
