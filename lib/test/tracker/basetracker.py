"""What every tracker offers; the evaluation knows no more than this."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from typing_extensions import Self


class _BoxAndScore(NamedTuple):
    box: list[float]
    score: float


class Output(_BoxAndScore):
    """Where the target is in one frame; unpacks into box and score.

    `box_xywh` or `box`: x, y, w, h in image pixels. `score`: predicted IoU of that box with the
    target, in [0, 1]. `lost`: whether the score is so low that the target is probably elsewhere.
    """

    lost: bool

    def __new__(cls, box_xywh: list[float], score: float, lost: bool = False) -> Self:
        output = super().__new__(cls, box_xywh, score)
        output.lost = lost
        return output

    @property
    def box_xywh(self) -> list[float]:
        return self.box


class BaseTracker(Protocol):
    """A tracker of one target through one video."""

    def initialize(self, image: np.ndarray, box: Any) -> None:
        """Start on a frame.

        Args:
            image: (H, W, 3) uint8 RGB.
            box: x, y, w, h in pixels, or a dictionary with that under "init_bbox".
        """

    def track(self, image: np.ndarray, info: Mapping[str, Any] | None = None) -> Output:
        """Find the target in the next frame, (H, W, 3) uint8 RGB; nothing in `info` is needed."""


class BatchTracker(BaseTracker, Protocol):
    """A tracker whose next frame can be worked on together with that of others.

    `track(image)` is the same as `track_batch([self], [crop_search_region(image)])[0]`.
    """

    def for_new_target(self) -> Self:
        """Make a tracker for another target that can step together with this one."""

    def crop_search_region(self, image: np.ndarray) -> Any:
        """Take from the next frame, (H, W, 3) uint8 RGB, what this target needs of it."""

    @classmethod
    def track_batch(cls, trackers: Sequence[Self], regions: Sequence[Any]) -> list[Output]:
        """Find the targets of several trackers in what each has taken from its frame."""
