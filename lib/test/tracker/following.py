"""Follow targets through a source of frames, a step per frame; boxes can be corrected on the way.

with tracker.follow("clip.mp4", [[200, 150, 60, 80]]) as steps:
    for step in steps:
        step.number, step.targets[0].box_xywh, step.targets[0].lost
        if wrong(step):
            step = steps.correct({1: [210, 150, 60, 80]})
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lib.io.video.sources import Frame, FrameSource
from lib.test.tracker.detections import boxes_of, is_detections
from lib.test.tracker.targets import Box, State, Targets

Boxes = Any  # see `numbered_boxes`
FirstBoxes = Callable[[np.ndarray], Boxes]  # (H, W, 3) uint8 RGB -> boxes in it


class Step(NamedTuple):
    """One frame, and where the targets are in it."""

    number: int  # of the frame, from 0
    seconds: float  # since frame 0
    image: np.ndarray  # (H, W, 3) uint8 RGB
    targets: list[State]


class Following(Iterator[Step]):
    """Steps through a source; closes it at its end, by `close`, or with its block."""

    def __init__(
        self,
        source: FrameSource,
        targets: Targets,
        boxes: Boxes | FirstBoxes,
        *,
        start: int | None = None,
        backwards: bool = False,
        frames: Callable[[Iterator[Frame]], Iterator[Frame]] = iter,
    ) -> None:
        """See `ReferenceTracker.follow`; frames: what they pass through, such as a progress bar."""
        self._targets, self._boxes = targets, boxes
        self._source = source
        self._frames = frames(source.walk(start, backwards=backwards))
        self._step: Step | None = None

    def __enter__(self) -> "Following":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __next__(self) -> Step:
        """Go to the next frame.

        Raises:
            ValueError: boxes of the first frame that no target can start on, or none at all.
            VideoError, VideoBrokenOffError: see `FrameSource`.
        """
        try:
            frame = next(self._frames)
            if self._step is not None:
                self._step = Step(*frame, self._targets.track(frame.image))
                return self._step
            first = self._boxes(frame.image) if callable(self._boxes) else self._boxes
            if not (numbered := numbered_boxes(first)):
                raise ValueError("there is no box to start on")
            return self._place(frame, numbered)
        except BaseException:
            self.close()
            raise

    def correct(self, boxes: Boxes) -> Step:
        """Start targets anew, or further ones, in the frame of the last step; return it corrected.

        Raises:
            RuntimeError: before the first step. ValueError: a bad box; nothing is changed.
        """
        if self._step is None:
            raise RuntimeError("call next() before correct(): there is no frame yet")
        return self._place(Frame(*self._step[:3]), numbered_boxes(boxes))

    def send(self, boxes: Boxes | None) -> Step:
        """Correct the last step's boxes, if any are given, and go on to the next frame."""
        if boxes is not None:
            self.correct(boxes)
        return next(self)

    def drop(self, target: int) -> None:
        """Follow a target no longer. KeyError: there is none of that number."""
        self._targets.drop(target)

    def close(self) -> None:
        """Close the source; there are no further frames."""
        self._frames = iter(())
        self._source.__exit__()

    def _place(self, frame: Frame, boxes: Mapping[int, Box]) -> Step:
        self._step = Step(*frame, self._targets.place(frame.image, boxes))
        return self._step


def numbered_boxes(boxes: Boxes) -> Mapping[int, Box]:
    """Boxes (x, y, w, h in pixels) by the number of their target.

    Args:
        boxes: one box; a list or an (n, 4) array of them, for the targets from 1, None leaving one
            out; a dictionary with numbers; or a detector's `Detections`.
    """
    if is_detections(boxes):
        return boxes_of(boxes)
    if isinstance(boxes, Mapping):
        return dict(boxes)
    if not isinstance(boxes, Sequence | np.ndarray):
        raise ValueError(f"boxes are lists of x, y, w, h; given: {boxes!r}")
    rows = [boxes] if len(boxes) and np.ndim(boxes[0]) == 0 and boxes[0] is not None else boxes
    return {target: box for target, box in enumerate(rows, 1) if box is not None}
