"""Do exported graphs compute what PyTorch does? Numbers of single calls, and boxes of a clip.

Used by tracking/export_onnx.py. Neighbours: lib/models/aiatrack/onnx/export.py writes the graphs,
lib/models/aiatrack/onnx/session.py runs them.
"""

import statistics
import time
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.onnx.export import example_inputs
from lib.models.aiatrack.onnx.graphs import GRAPHS, OUTPUTS
from lib.models.aiatrack.onnx.session import OnnxNetwork
from lib.test.tracker.basetracker import BaseTracker
from lib.tools.video.sources import Frame

# Of an output's greatest magnitude. fp32 in another order gives 1e-5 at most; wrong operators far
# more.
TOLERANCE = 1e-4
BOX_TOLERANCE = 0.05  # pixels, as everywhere in this project
SEEDS = (0, 1)  # an unpadded crop and a padded one


class Comparison(NamedTuple):
    """Two trackers on one clip, each going its own way."""

    frames: int
    worst: float  # greatest difference of a coordinate, pixels; NaN where a box is
    frame: int  # in which frame
    milliseconds: tuple[float, float]  # a frame, medians
    ratio: float  # how many times as fast the second is, median over frames


def graph_differences(
    network: OnnxNetwork, model: AiATrack, size: int, ensemble: int
) -> dict[str, float]:
    """Compare every output of both graphs with the plain network's, in this process.

    Args:
        model: plain, on the CPU, in evaluation mode. size: S. ensemble: R.

    Returns:
        "track.box" and so on -> greatest difference over the output's greatest magnitude.
    """
    worst = dict.fromkeys((f"{g}.{name}" for g in GRAPHS for name in OUTPUTS[g]), 0.0)
    for seed in SEEDS:
        for graph, inputs in example_inputs(model, size, ensemble, seed).items():
            with torch.no_grad():
                expected = GRAPHS[graph](model)(*inputs.values())
            found = network.run(graph, *inputs.values())
            for name, a, b in zip(OUTPUTS[graph], found, expected, strict=True):
                difference = float((a - b).abs().max() / b.abs().max())
                # The greater one, and NaN for ever.
                worst[f"{graph}.{name}"] = float(np.maximum(worst[f"{graph}.{name}"], difference))
    return worst


def compare_tracking(
    trackers: tuple[BaseTracker, BaseTracker], frames: Iterable[Frame], box: list[float]
) -> Comparison:
    """Track a clip with both, turn and turn about.

    Args:
        frames: two at least. box: x, y, w, h in the first, image pixels.

    Raises:
        ValueError: a box that no tracker can start on; fewer than two frames.
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    boxes: tuple[list[list[float]], list[list[float]]] = ([], [])
    for frame in frames:
        for tracker, times, found in zip(trackers, seconds, boxes, strict=True):
            if frame.number == 0:
                tracker.initialize(frame.image, box)
                continue
            start = time.perf_counter()
            found.append(tracker.track(frame.image).box)
            times.append(time.perf_counter() - start)
    if not seconds[0]:
        raise ValueError("to compare trackers takes two frames at least")
    difference = np.abs(np.array(boxes[0]) - np.array(boxes[1])).max(1)  # (T,)
    frame_number = int(np.argmax(np.where(np.isnan(difference), np.inf, difference)))
    medians = tuple(1e3 * statistics.median(times) for times in seconds)
    ratio = statistics.median(a / b for a, b in zip(*seconds, strict=True))
    worst = float(difference[frame_number])
    return Comparison(len(difference) + 1, worst, frame_number + 1, medians, ratio)
