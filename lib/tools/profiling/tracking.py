"""Where a frame's time goes: stages, operations, memory, beside the machine's own speed.

Used by tracking/profile_model.py. Trackers that run the network in different ways take turns on
the same frames in one process, and a plain matrix product of as many operations as the plain
network's takes its turn with them, so that ratios hold on a noisy machine too.
"""

import copy
import statistics
from array import array
from collections import defaultdict
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
from lib.test.tracker.load import prepare_network
from lib.test.tracker.options import TrackerOptions
from lib.tools.profiling.process_memory import device_peak_bytes, resident_bytes
from lib.tools.profiling.timers import MatrixProduct, StageTimer

WARM_UP = 4  # frames
PRODUCTS = 100  # frames, at most, that a matrix product is measured with
TURN = 5  # frames that a mode runs in a row: a tracker's caches hold its own network
CLIP = 6  # frames that are composed; they are shown to and fro

MODES = {
    "plain": TrackerOptions(plain=True),
    "optimized": TrackerOptions(),
    "compiled": TrackerOptions(compile=True),
    "bf16": TrackerOptions(precision="bf16"),
    "bf16-compiled": TrackerOptions(precision="bf16", compile=True),
    "fp16": TrackerOptions(precision="fp16"),
    "fp16-compiled": TrackerOptions(precision="fp16", compile=True),
    "int8": TrackerOptions(precision="int8"),
}


def parse_modes(text: str) -> dict[str, TrackerOptions]:
    """Read names that are separated by commas.

    Raises:
        ValueError: a name that is not in MODES.
    """
    names = text.split(",")
    if unknown := [name for name in names if name not in MODES]:
        raise ValueError(f"unknown modes {unknown}; there are {', '.join(MODES)}")
    return {name: MODES[name] for name in names}


def profile_tracking(
    model: AiATrack,
    params: TrackerParams,
    device: torch.device,
    modes: dict[str, TrackerOptions],
    frames: int = 40,
    image_size: tuple[int, int] = (1280, 720),
) -> dict[str, Any]:
    """Profile a network's tracking of a composed video in several modes.

    Args:
        model: with any weights; it is copied.
        params: the memory is filled before the measurement, every frame being remembered.
        modes: by name; ratios are to the first.
        frames: measured in each mode, after warming up.
        image_size: width and height of the video, pixels.

    Returns:
        Plain values for JSON; times in milliseconds, operations in GFLOP, memory in bytes.

    Raises:
        ValueError, RuntimeError: a mode that is not possible on the device.
    """
    for mode in modes.values():
        mode.check_device(device)
    params = TrackerParams(params.search_factor, params.search_size, 20, params.ensemble, -1e9)
    video, box = _video(image_size)
    plain = StageTimer(AiATrackTracker(copy.deepcopy(model), params, device))
    plain.start(video[0], box)
    operations = {"plain": plain.operations(video[1])}
    clocks = {}
    for name, mode in modes.items():
        network = prepare_network(copy.deepcopy(model), mode, params, device)
        clocks[name] = clock = StageTimer(AiATrackTracker(network, params, device))
        clock.start(video[0], box)
        for t in range(WARM_UP):
            clock.tracker.track(video[t % len(video)])
        if not mode.compile and mode.precision != "int8":  # neither can be counted
            operations[name] = clock.operations(video[0])
    product = MatrixProduct(operations["plain"]["frame"], device)
    resident = resident_bytes()
    ratios = _take_turns(clocks, product, video, frames)
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "parameters": sum(p.numel() for p in model.parameters()),
        "frames": frames,
        "image": list(image_size),
        "references": 1 + params.ensemble,
        "modes": list(modes),
        "GFLOP": {n: {k: v / 1e9 for k, v in o.items()} for n, o in operations.items()},
        "milliseconds": {name: _summary(clock.seconds) for name, clock in clocks.items()},
        "FPS": {n: 1 / statistics.median(c.seconds["frame"]) for n, c in clocks.items()},
        "matrix product GFLOP/s": product.rate(),
        "median ratios": ratios,
        "bytes a remembered frame": {
            name: clock.tracker.memory.bytes_per_frame() for name, clock in clocks.items()
        },
        "resident memory": {"after warming up": resident, "at the end": resident_bytes()},
        "peak memory": device_peak_bytes(device),
    }


def _take_turns(
    clocks: dict[str, StageTimer], product: MatrixProduct, video: list[np.ndarray], frames: int
) -> dict[str, dict[str, float]]:
    """Track some frames with each clock in turn; medians over frames of two ratios, per mode."""
    first = next(iter(clocks))
    speedups: dict[str, list[float]] = defaultdict(list)
    to_product: dict[str, list[float]] = defaultdict(list)
    for start in range(0, frames, TURN):
        turn = range(start, min(start + TURN, frames))
        seconds = {
            name: [clock.frame(video[t % len(video)]) for t in turn]
            for name, clock in clocks.items()
        }
        matrix = [product.seconds() for t in turn if t < PRODUCTS]
        for name, values in seconds.items():  # there may be fewer products than frames
            speedups[name] += [a / b for a, b in zip(seconds[first], values, strict=True)]
            to_product[name] += [a / b for a, b in zip(values, matrix, strict=False)]
    named = {f"speedup over {first}": speedups, "over matrix product": to_product}
    return {n: {k: statistics.median(v) for k, v in r.items()} for n, r in named.items()}


def _video(size: tuple[int, int]) -> tuple[list[np.ndarray], list[float]]:
    """Frames of a composed clip, to and fro, and the target's box in the first."""
    options = ClipOptions(length=CLIP, width=size[0], height=size[1])
    clip = render(plan_clip(np.random.default_rng(0), ProceduralTextures(), options))
    return [*clip.frames, *clip.frames[-2:0:-1]], clip.boxes_xywh[0].tolist()


def _summary(seconds: dict[str, array]) -> dict[str, dict[str, float]]:
    """Median and 95th percentile of each stage, milliseconds."""
    return {
        stage: {"p50": float(np.median(s)) * 1e3, "p95": float(np.percentile(s, 95)) * 1e3}
        for stage, s in seconds.items()
    }
