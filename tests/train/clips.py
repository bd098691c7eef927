"""Small clips and data sets for the tests of training."""

from pathlib import Path

import numpy as np

from lib.synthetic.render import Clip
from lib.utils.paths import DataPath

HEIGHT, WIDTH = 48, 64


def make_clip(length: int, seed: int = 0, hidden: tuple[int, ...] = ()) -> Clip:
    """Make a clip of noise with a bright rectangle that moves; `hidden` frames have no box."""
    generator = np.random.default_rng(seed)
    boxes = np.stack(
        [
            generator.integers(2, 30, length),
            generator.integers(2, 20, length),
            generator.integers(10, 20, length),
            generator.integers(10, 20, length),
        ],
        1,
    ).astype(np.float64)
    visible = np.ones(length, bool)
    visible[list(hidden)] = False
    boxes[~visible] = 0
    frames = generator.integers(0, 80, (length, HEIGHT, WIDTH, 3), np.uint8)
    for frame, (x, y, w, h) in zip(frames, boxes.astype(int), strict=True):
        frame[y : y + h, x : x + w] = (250, 200, 30)
    return Clip(frames, boxes, visible, visible.astype(np.float64))


def found_at(path: Path) -> DataPath:
    """A path as a setting would give it."""
    return DataPath(path, "AIATRACK_TEST_DIR in the environment")
