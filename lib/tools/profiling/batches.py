"""How fast batches of targets are: the network alone, whole frames, and the pooling by itself."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.head import IoUHead
from lib.models.aiatrack.prroi_pool import (
    Pooling,
    load_cuda_pooling,
    prroi_pool,
    prroi_pool_in_one_product,
)
from lib.test.parameter.aiatrack import TrackerParams
from lib.test.tracker.aiatrack import AiATrackTracker
from lib.test.tracker.graphed import GraphedTracker, StaticFrame, capture
from lib.test.tracker.options import TrackerOptions
from lib.test.tracker.prepare import check_device, make_torch_tracker
from lib.tools.profiling.ceilings import measure_ceilings, median_seconds
from lib.tools.profiling.timers import StageTimer, timed
from lib.tools.profiling.tracking import WARM_UP_FRAMES, make_video


def profile_batches(
    model: AiATrack,
    params: TrackerParams,
    device: torch.device,
    modes: dict[str, TrackerOptions],
    sizes: list[int],
    frames: int,
) -> dict[str, Any]:
    """Profile a network's tracking of several targets at once; plain values for JSON.

    Args:
        sizes: of batches, targets that step together.
        frames: measured of each mode and size, after warming up.

    Returns:
        "rows" by mode and size: milliseconds (p50, p95) of the network alone, and with crops,
        transfers and memory; "pooling": milliseconds by size; "ceilings"; operations of a frame.

    Raises:
        ValueError, RuntimeError: a mode that is not possible on the device.
    """
    for mode in modes.values():
        check_device(mode, device)
    params = replace(params, capacity=params.ensemble + 1, threshold=-1e9)  # all is remembered
    video, box = make_video((1280, 720))
    rows = []
    for name, mode in modes.items():
        tracker = make_torch_tracker(copy.deepcopy(model), mode, params, device)
        tracker.initialize(video[0], box)
        for size in sizes:
            alone = _network_seconds(tracker, size, frames)
            whole = _frame_seconds(tracker, size, frames, video, box)
            about = {"mode": name, "size": size, "precision": mode.precision}
            rows.append({**about, "network": alone, "with crops": whole})
    plain = StageTimer(AiATrackTracker(copy.deepcopy(model), params, device))
    plain.start(video[0], box)
    return {
        "rows": rows,
        "frames": frames,
        "pooling": _profile_pooling(model, device, sizes),
        "GFLOP": plain.operations(video[1])["frame"] / 1e9,
        "ceilings": measure_ceilings(device),
    }


def _network_seconds(tracker: AiATrackTracker, size: int, frames: int) -> dict[str, float]:
    """Of encoding, decoding, both heads and memorizing, over tensors that are there already."""
    side = tracker.params.search_size
    with tracker.computing():
        frame = StaticFrame(tracker.model, size, tracker.memory, side)
        graphed = isinstance(tracker, GraphedTracker)
        step = capture(frame.step, tracker.device) if graphed else frame.step
        frame.pixels.random_(256)
        for _ in range(WARM_UP_FRAMES):
            step()
        return percentiles([timed(step, tracker.device)[1] for _ in range(frames)])


def _frame_seconds(
    tracker: AiATrackTracker, size: int, frames: int, video: list[np.ndarray], box: list[float]
) -> dict[str, float]:
    """Of whole frames, each target in a video of its own; the frames are decoded."""
    trackers = [tracker.for_new_target() for _ in range(size)]
    for one in trackers:
        one.initialize(video[0], box)

    def step(number: int) -> None:
        image = video[number % len(video)]
        tracker.track_batch(trackers, [one.crop_search_region(image) for one in trackers])

    numbers = range(WARM_UP_FRAMES + frames)
    seconds = [timed(partial(step, n), tracker.device)[1] for n in numbers]
    return percentiles(seconds[WARM_UP_FRAMES:])


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Median and 95th percentile, milliseconds."""
    p50, p95 = np.percentile(seconds, [50, 95]) * 1e3
    return {"p50": float(p50), "p95": float(p95)}


def _profile_pooling(
    model: AiATrack, device: torch.device, sizes: list[int]
) -> Mapping[str, dict[int, float] | str]:
    """Milliseconds of each kind of pooling by number of boxes, one in each map; or why not."""
    kinds: dict[str, Pooling] = {"closed form": prroi_pool}
    kinds["closed form in one product"] = prroi_pool_in_one_product
    missing: dict[str, str] = {}
    try:
        if device.type != "cuda":
            raise RuntimeError("needs a GPU")
        kinds["CUDA"] = load_cuda_pooling()
    except RuntimeError as error:
        missing["CUDA"] = str(error)

    def milliseconds(pool: Pooling, size: int) -> float:
        shape = (size, model.bottleneck.out_channels, model.grid, model.grid)
        features = torch.randn(shape, device=device)
        box_xyxy = torch.tensor([0.31, 0.42, 0.58, 0.71], device=device).expand(size, 1, 4)
        step = partial(pool, features, box_xyxy, IoUHead.POOL, float(model.grid))
        return 1e3 * median_seconds(step, device)

    with torch.inference_mode():
        times = {name: {n: milliseconds(pool, n) for n in sizes} for name, pool in kinds.items()}
    return {**times, **missing}
