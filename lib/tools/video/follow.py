"""Follow targets through a source of frames; write a video, and one record per target and frame.

One pass of one network finds all targets of a frame. Neighbours: sources.py reads, painter.py
draws, screen.py shows and asks; tracking/video_demo.py puts them together.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.io.box_doubts import doubt_boxes
from lib.io.video.writer import VideoWriter
from lib.test.tracker import BatchTracker
from lib.tools.video.painter import Painter, State
from lib.tools.video.screen import Screen
from lib.tools.video.sources import Frame, VideoBrokenOffError
from lib.utils.files import TemporaryOutput
from lib.utils.stopping import StopRequest

logger = logging.getLogger(__name__)


class Summary(NamedTuple):
    """How following went."""

    frames: int
    lost: dict[int, int]  # target: frames in which it was lost
    ended_by: str  # "end", "key", "signal" or "broken off"
    detail: str = ""  # where it broke off


class Targets:
    """Targets numbered from 1, with a tracker each; the trackers step together."""

    def __init__(self, tracker: BatchTracker, lost_below: float) -> None:
        """tracker: the first target's. lost_below: predicted IoU in [0, 1]."""
        self._lost_below, self._trackers = lost_below, [tracker]
        self.states: list[State] = []

    def start(self, image: np.ndarray, boxes: Sequence[Sequence[float]]) -> list[State]:
        """Start a target on each box (x, y, w, h in image pixels) of an (H, W, 3) RGB frame.

        Raises:
            ValueError: a box that no tracker can start on; says which target's.
        """
        first = self._trackers[0]
        self._trackers = [first, *(first.for_new_target() for _ in boxes[1:])]
        self.states = [State(i, [], None, False) for i in range(1, len(boxes) + 1)]
        return self.restart(image, boxes)

    def restart(self, image: np.ndarray, boxes: Sequence[Sequence[float] | None]) -> list[State]:
        """As `start`, for targets that were started; those with None go on as they were."""
        for i, box in enumerate(boxes):
            if box is None:
                continue
            if doubt := doubt_boxes(np.array(box), image.shape[1], image.shape[0]):
                logger.warning("target %d: %s", i + 1, doubt)
            try:
                self._trackers[i].initialize(image, box)
            except ValueError as error:
                raise ValueError(f"target {i + 1}: {error}") from error
            self.states[i] = State(i + 1, [float(v) for v in box], None, False)
        return list(self.states)

    def track(self, image: np.ndarray) -> list[State]:
        """Find every target in the next frame."""
        views = [tracker.crop_search_region(image) for tracker in self._trackers]
        outputs = self._trackers[0].track_batch(self._trackers, views)
        self.states = [
            State(i, box, float(score), bool(score < self._lost_below))
            for i, (box, score) in enumerate(outputs, 1)
        ]
        return list(self.states)


class RecordWriter:
    """JSON lines, one per target and frame; appears under its name when closed, as a video does."""

    def __init__(self, path: Path) -> None:
        """Make the temporary file. Raises OSError if `path` cannot be written."""
        self._output = TemporaryOutput(path)
        self._file = open(self._output.temporary, "wb", buffering=0)
        self._length = 0  # bytes of whole lines

    def __enter__(self) -> "RecordWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.truncate(self._length)
        self._file.close()
        if self._length:
            self._output.keep()
        self._output.discard()

    def write(self, frame: Frame, states: Iterable[State]) -> None:
        """Write a line for each target at once; OSError if the disk is full."""
        for state in states:
            record = {
                "frame": frame.number,
                "time": round(frame.seconds, 4),
                "target": state.target,
                "box": [round(v, 3) for v in state.box_xywh],
                "score": None if state.score is None else round(state.score, 5),
                "lost": state.lost,
            }
            line = f"{json.dumps(record)}\n".encode()
            try:
                written = self._file.write(line)
            except OSError as error:
                raise OSError(f"cannot write {self._output.path}: {error.strerror}") from error
            if written != len(line):
                raise OSError(f"cannot write {self._output.path}: is the disk full?")
            self._length += len(line)


def follow(
    frames: Iterable[Frame],
    targets: Targets,
    first_boxes: Callable[[np.ndarray], Sequence[Sequence[float]]],
    outputs: tuple[VideoWriter, RecordWriter],
    *,
    painter: Painter | None = None,
    screen: Screen | None = None,
    stop: StopRequest | None = None,
) -> Summary:
    """Follow targets to the end of a source, or until the user stops it.

    Args:
        first_boxes: returns a box (x, y, w, h in pixels) per target, given the first frame.
        outputs: for the frames with boxes drawn, and their records.
        painter: draws them; None: boxes alone.
        screen: shows every frame; "q" and "escape" end, "r" asks for boxes anew.

    Raises:
        ValueError: see `Targets.start`; a frame of another size than the first.
        VideoError: the source gives no frame at all.
    """
    (video, records), painter = outputs, painter or Painter()
    lost = Counter[int]()
    try:
        for frame in frames:
            # Find the targets, or start on the first frame.
            if frame.number:
                states = targets.track(frame.image)
            else:
                states = targets.start(frame.image, first_boxes(frame.image))
            # Show them; the user may correct their boxes.
            drawn = painter.draw(frame.image, frame.number, states)
            key = screen.show(drawn) if screen else ""
            if screen and key == "r":
                states = targets.restart(frame.image, screen.draw_boxes(frame.image, len(states)))
                drawn = painter.draw(frame.image, frame.number, states)
            # Write them; the records first, which need less room.
            records.write(frame, states)
            video.write(drawn, frame.seconds)
            lost.update(state.target for state in states if state.lost)
            # End where the user wants it.
            if ended_by := _end_asked_for(key, stop):
                return Summary(video.count, dict(lost), ended_by)
    except VideoBrokenOffError as error:
        return Summary(video.count, dict(lost), "broken off", str(error))
    return Summary(video.count, dict(lost), "end")


def _end_asked_for(key: str, stop: StopRequest | None) -> str:
    """How the user ends it, as `Summary.ended_by` has it; "" if not at all."""
    if stop and stop.signal_number is not None:
        return "signal"
    return "key" if key in ("q", "escape") else ""
