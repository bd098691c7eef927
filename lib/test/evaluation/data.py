"""A test sequence: what a tracker runs on."""

from typing import NamedTuple

import numpy as np

from lib.io.video_file import Frame


class Sequence(NamedTuple):
    """Frames in order and at least the first box."""

    name: str
    dataset: str
    frames: tuple[Frame, ...]  # images or frames of a video, for `read_frame`
    boxes_xywh: (
        np.ndarray
    )  # (n, 4) float64 image pixels, n >= 1; some test sets give the first only

    @property
    def init_box(self) -> list[float]:
        """x, y, w, h of the target in the first frame, image pixels."""
        return self.boxes_xywh[0].tolist()


class SequenceError(ValueError):
    """A sequence that cannot be run as it lies on disk; the message names it."""
