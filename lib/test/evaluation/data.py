"""A test sequence: what a tracker runs on, and what its result is scored against."""

from typing import NamedTuple

import numpy as np

from lib.io.video_file import Frame

LARGEST = 1e6  # pixels, of a number of a result; no image is near it


class Sequence(NamedTuple):
    """Frames in order and at least the first box."""

    name: str
    dataset: str
    frames: tuple[Frame, ...]  # images or frames of a video, for `read_frame`
    boxes_xywh: np.ndarray  # (n, 4) float64 image pixels, n >= 1; some sets give the first only

    @property
    def init_box(self) -> list[float]:
        """x, y, w, h of the target in the first frame, image pixels."""
        return self.boxes_xywh[0].tolist()


class Truth(NamedTuple):
    """What scoring needs to know of one sequence of n frames."""

    name: str
    dataset: str  # e.g. "lasot"; the `otb` protocol treats invalid frames by data set
    boxes_xywh: np.ndarray  # (n, 4) annotation in pixels of the image, may hold NaN
    visible: np.ndarray | None = None  # (n,) bool; None: the benchmark has no such flags
    image_size: tuple[int, int] | None = None  # width, height in pixels; `got10k` needs it
    groups: tuple[str, ...] = ()  # attributes it belongs to, e.g. "class: car", "Fast Motion"


class SequenceError(ValueError):
    """A sequence that cannot be run as it lies on disk; the message names it."""
