"""Do exported graphs compute what PyTorch does? Numbers of single calls, and boxes of a clip.

Neighbours: lib/models/aiatrack/onnx/export.py writes the graphs, session.py beside it runs them.
"""

import statistics
import time
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch

from lib.io.video.sources import Frame
from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.onnx.contract import OUTPUTS
from lib.models.aiatrack.onnx.export import example_inputs
from lib.models.aiatrack.onnx.graphs import GRAPHS
from lib.models.aiatrack.onnx.session import OnnxNetwork
from lib.test.tracker.basetracker import BaseTracker
from lib.tools.setup.self_test import greatest_difference

BOX_TOLERANCE = 0.05  # pixels, as everywhere in this project
SEEDS = (0, 1)  # an unpadded crop and a padded one


class Comparison(NamedTuple):
    """Two trackers on one clip, each with its own boxes."""

    frames: int
    worst: float  # greatest difference of a coordinate, pixels; NaN where a box is
    frame: int  # in which frame
    milliseconds: tuple[float, float]  # median time per frame of each
    ratio: float  # how many times as fast the second is, median over frames


def graph_differences(
    network: OnnxNetwork, model: AiATrack, size: int, ensemble: int
) -> dict[str, float]:
    """Compare every output of both graphs with the network's own, in this process.

    Args:
        model: as trained, on the CPU, in evaluation mode. size: S. ensemble: R.

    Returns:
        "track.box" and so on -> greatest difference over the output's greatest magnitude.
    """
    worst = dict.fromkeys((f"{g}.{name}" for g in GRAPHS for name in OUTPUTS[g]), 0.0)
    for seed in SEEDS:
        for graph, inputs in example_inputs(model, size, ensemble, seed).items():
            with torch.no_grad():
                expected = [x.numpy() for x in GRAPHS[graph](model)(*inputs.values())]
            outputs = network.run(graph, *(x.numpy() for x in inputs.values()))
            for name, a, b in zip(OUTPUTS[graph], outputs, expected, strict=True):
                key, difference = f"{graph}.{name}", np.abs(a - b).max() / np.abs(b).max()
                worst[key] = float(np.maximum(worst[key], difference))  # max() would lose NaN
    return worst


def compare_tracking(
    trackers: tuple[BaseTracker, BaseTracker], frames: Iterable[Frame], box: list[float]
) -> Comparison:
    """Track two frames or more with two trackers in turn; box: x, y, w, h in the first, pixels.

    Raises:
        ValueError: a box that no tracker can start on; fewer than two frames.
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    boxes: tuple[list[list[float]], list[list[float]]] = ([], [])
    for frame in frames:
        for tracker, times, tracked in zip(trackers, seconds, boxes, strict=True):
            if frame.number == 0:
                tracker.initialize(frame.image, box)
                continue
            start = time.perf_counter()
            tracked.append(tracker.track(frame.image).box)
            times.append(time.perf_counter() - start)
    if not seconds[0]:
        raise ValueError("to compare trackers takes two frames at least")
    worst, frame_number = greatest_difference(boxes[0], boxes[1])
    ratio = statistics.median(a / b for a, b in zip(*seconds, strict=True))
    medians = (1e3 * statistics.median(seconds[0]), 1e3 * statistics.median(seconds[1]))
    return Comparison(len(boxes[0]) + 1, worst, frame_number, medians, ratio)
