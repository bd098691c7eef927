"""Whether a device computes correctly: a short clip, a small network, and boxes to compare with.

Weights and frames follow from seeds by NumPy and integer arithmetic, and only self_test.json is
read, so that every machine computes the same clip. The window is placed around the true box in each
frame, and is as large as the crop, so that no resizing and no chain of frames magnifies a
difference: rounding moves a box by less than a hundredth of a pixel, reduced precision (TF32, half)
and wrong kernels move it more than TOLERANCE. Neighbour: machine.py runs this on every device.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from lib.config.aiatrack.config import make_config
from lib.models.aiatrack.build import build_aiatrack
from lib.test.parameter.aiatrack import make_params
from lib.test.tracker.aiatrack import AiATrackTracker

DATA = Path(__file__).with_name("self_test.json")
TOLERANCE = 0.05  # pixels
HEIGHT, WIDTH = 240, 320  # pixels of a frame


def run_self_test(device: torch.device, data: Path = DATA) -> tuple[float, int]:
    """Track the clip on a device -> `greatest_difference` to the stored boxes, pixels.

    Raises:
        RuntimeError: a kernel does not run there (torch's own errors).
    """
    stored = json.loads(data.read_text(encoding="utf-8"))
    boxes = track_clip(device, stored["seed"], stored["recipe"], len(stored["boxes"]))
    return greatest_difference(boxes, stored["boxes"])


def greatest_difference(boxes: ArrayLike, expected: ArrayLike) -> tuple[float, int]:
    """Greatest difference of a coordinate of (T, 4) boxes of frames 1..T, or NaN; its frame."""
    difference = np.abs(np.asarray(boxes) - np.asarray(expected)).max(1)  # (T,)
    worst = int(np.argmax(np.where(np.isnan(difference), np.inf, difference)))
    return float(difference[worst]), worst + 1


def track_clip(device: torch.device, seed: int, recipe: dict[str, Any], frames: int) -> np.ndarray:
    """Search frames 1..T, each around the true box of the one before -> (T, 4) xywh, pixels."""
    cfg = make_config(recipe)
    model = build_aiatrack(cfg)
    fill(model, seed)
    tracker = AiATrackTracker(model, make_params(cfg, "self_test"), device)
    tracker.initialize(make_frame(0), target_box(0))
    boxes = []
    for t in range(frames):
        tracker.box = target_box(t)
        boxes.append(tracker.track(make_frame(t + 1)).box)
    return np.array(boxes)


def fill(model: nn.Module, seed: int) -> None:
    """Give every entry of the state dict values that follow from its name and a seed.

    NumPy's legacy generator is frozen: it gives the same numbers in every version. Scales keep
    activations near one and give the corner maps a clear peak.
    """
    state = model.state_dict()
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            continue
        rng = np.random.RandomState((zlib.crc32(name.encode()) + 7919 * seed) % 2**32)
        values = rng.standard_normal(tuple(tensor.shape))
        if name.endswith("running_var"):
            values = 1 + 0.2 * np.tanh(values)
        elif tensor.ndim == 1:  # gains are around 1, everything else around 0
            values = 1 + 0.1 * values if name.endswith("weight") else 0.05 * values
        elif "embed" not in name:
            gain = 150 if "conv5_" in name else 2 if tensor.ndim == 4 else 1
            values = np.sqrt(gain / np.prod(tensor.shape[1:])) * values
        state[name] = torch.from_numpy(values.astype(np.float32))
    model.load_state_dict(state)


def target_box(t: int) -> list[float]:
    """The moving rectangle in frame t: x, y, w, h in pixels; its window is 128 pixels wide."""
    return [60.0 + 4 * t, 90.0 + 2 * t, 32.0, 20.25]


def make_frame(t: int) -> np.ndarray:
    """Frame t: a chequered rectangle over stripes, (HEIGHT, WIDTH, 3) uint8 RGB, from integers."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    frame = np.stack([(2 * x + (c + 1) * y + x * y // 61 + 50 * c) % 256 for c in range(3)], -1)
    x0, y0, w, h = (int(v) for v in target_box(t))
    v, u = np.mgrid[0:h, 0:w]
    chequer = (u // 6 + v // 6) % 2 * 128
    patch = [(9 * u + 5 * (c + 1) * v + chequer) % 256 for c in range(3)]
    frame[y0 : y0 + h, x0 : x0 + w] = np.stack(patch, -1)
    return frame.astype(np.uint8)
