"""Follow targets through a source of frames; write a video, and one record per target and frame.

One pass of one network finds all targets of a frame. Neighbours: sources.py reads, pictures.py
writes the video, screen.py shows and asks; tracking/video_demo.py puts them together.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.test.tracker import BatchTracker
from lib.tools.video.pictures import VideoWriter
from lib.tools.video.screen import Screen
from lib.tools.video.sources import Frame, VideoBrokenOffError
from lib.utils.draw import draw_box
from lib.utils.files import TemporaryOutput
from lib.utils.stopping import StopRequest

COLOURS = ((64, 255, 64), (255, 160, 32), (64, 160, 255), (255, 96, 255), (255, 255, 64))
LOST_COLOUR = (255, 48, 48)


class State(NamedTuple):
    """A target in one frame."""

    target: int  # from 1
    box_xywh: list[float]  # image pixels
    score: float | None  # predicted IoU in [0, 1]; None where the box was given
    lost: bool


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
        self._file = open(self._output.temporary, "w", buffering=1, encoding="utf-8")
        self._count = 0

    def __enter__(self) -> "RecordWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._count:
            self._output.keep()
        self._output.discard()

    def write(self, frame: Frame, states: Iterable[State]) -> None:
        for state in states:
            record = {
                "frame": frame.number,
                "time": round(frame.seconds, 4),
                "target": state.target,
                "box": [round(v, 3) for v in state.box_xywh],
                "score": None if state.score is None else round(state.score, 5),
                "lost": state.lost,
            }
            self._file.write(json.dumps(record) + "\n")
            self._count += 1


def follow(
    frames: Iterable[Frame],
    targets: Targets,
    first_boxes: Callable[[np.ndarray], Sequence[Sequence[float]]],
    outputs: tuple[VideoWriter, RecordWriter],
    *,
    screen: Screen | None = None,
    stop: StopRequest | None = None,
) -> Summary:
    """Follow targets to the end of a source, or until the user stops it.

    Args:
        first_boxes: returns a box (x, y, w, h in pixels) per target, given the first frame.
        outputs: for the frames with boxes drawn, and their records.
        screen: shows every frame; "q" and "escape" end, "r" asks for boxes anew.

    Raises:
        ValueError: see `Targets.start`; a frame of another size than the first.
        VideoError: the source gives no frame at all.
    """
    video, records = outputs
    lost, ended_by, detail = Counter[int](), "end", ""
    try:
        for frame in frames:
            # Find the targets, or start on the first frame.
            if frame.number:
                states = targets.track(frame.image)
            else:
                states = targets.start(frame.image, first_boxes(frame.image))
            # Show them; the user may correct their boxes.
            drawn = draw_states(frame.image, states)
            key = screen.show(drawn) if screen else ""
            if screen and key == "r":
                states = targets.restart(frame.image, screen.draw_boxes(frame.image, len(states)))
                drawn = draw_states(frame.image, states)
            # Write them.
            video.write(drawn)
            records.write(frame, states)
            lost.update(state.target for state in states if state.lost)
            # End where the user wants it.
            if stop and stop.signal_number is not None:
                ended_by = "signal"
            elif key in ("q", "escape"):
                ended_by = "key"
            if ended_by != "end":
                break
    except VideoBrokenOffError as error:
        ended_by, detail = "broken off", str(error)
    return Summary(video.count, dict(lost), ended_by, detail)


def draw_states(image: np.ndarray, states: Iterable[State]) -> np.ndarray:
    """Draw targets' boxes (red where lost), numbers and scores on a copy of an RGB image."""
    for state in states:
        colour = LOST_COLOUR if state.lost else COLOURS[(state.target - 1) % len(COLOURS)]
        score = "" if state.score is None else f": {state.score:.2f}"
        label = f"{state.target}{score}{' lost' * state.lost}"
        image = draw_box(image, state.box_xywh, label, colour)
    return image
