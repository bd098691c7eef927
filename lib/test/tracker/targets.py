"""Several targets of one video, each with a tracker; one pass of the network finds them all."""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lib.io.box_doubts import doubt_boxes
from lib.test.tracker.basetracker import BatchTracker

logger = logging.getLogger(__name__)

Box = Sequence[float]  # x, y, w, h in image pixels


class State(NamedTuple):
    """A target in one frame."""

    target: int  # from 1
    box_xywh: list[float]  # image pixels
    score: float | None  # predicted IoU in [0, 1]; None where the box was given
    lost: bool


class Targets:
    """Targets by number, whose trackers step together."""

    def __init__(self, tracker: BatchTracker) -> None:
        """tracker: whose network and settings are used; its own state is not touched."""
        self._tracker = tracker
        self._trackers: dict[int, BatchTracker] = {}
        self._states: dict[int, State] = {}

    @property
    def states(self) -> list[State]:
        """Where the targets were found last, in the order of their numbers."""
        return [self._states[target] for target in sorted(self._states)]

    def place(self, image: np.ndarray, boxes: Mapping[int, Box]) -> list[State]:
        """Start targets, or start them anew, on an (H, W, 3) uint8 RGB frame; others stay.

        Raises:
            ValueError: a box that no tracker can start on; says which target's. None is started.
        """
        started = {}
        for target, box in boxes.items():
            if doubt := doubt_boxes(np.array(box), image.shape[1], image.shape[0]):
                logger.warning("target %d: %s", target, doubt)
            started[target] = self._tracker.for_new_target()
            try:
                started[target].initialize(image, box)
            except ValueError as error:
                raise ValueError(f"target {target}: {error}") from error
        self._trackers |= started
        for target in started:
            self._states[target] = State(target, [float(v) for v in boxes[target]], None, False)
        return self.states

    def drop(self, target: int) -> None:
        """Follow a target no longer."""
        del self._trackers[target], self._states[target]

    def track(self, image: np.ndarray) -> list[State]:
        """Find every target in the next frame."""
        views = [tracker.crop_search_region(image) for tracker in self._trackers.values()]
        outputs = self._tracker.track_batch(list(self._trackers.values()), views) if views else []
        for target, output in zip(self._trackers, outputs, strict=True):
            box, score = output
            self._states[target] = State(target, box, float(score), bool(output.lost))
        return self.states
