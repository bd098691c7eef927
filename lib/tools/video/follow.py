"""Follow targets through a source of frames; write a video, and one record per target and frame.

One pass of one network finds all targets of a frame. Neighbours: lib/test/tracker/following.py
steps through the frames, painter.py draws, screen.py shows and asks; tracking/video_demo.py puts
them together.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from lib.io.video.sources import VideoBrokenOffError
from lib.io.video.writer import VideoWriter
from lib.test.tracker.following import Following
from lib.test.tracker.targets import State
from lib.tools.video.painter import Painter
from lib.tools.video.screen import Screen
from lib.utils.files import TemporaryOutput
from lib.utils.stopping import StopRequest

logger = logging.getLogger(__name__)


class Summary(NamedTuple):
    """How following went."""

    frames: int
    lost: dict[int, int]  # target: frames in which it was lost
    ended_by: str  # "end", "key", "signal" or "broken off"
    detail: str = ""  # where it broke off


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

    def write(self, number: int, seconds: float, states: Iterable[State]) -> None:
        """Write a line for each target of a frame at once; OSError if the disk is full."""
        for state in states:
            record = {
                "frame": number,
                "time": round(seconds, 4),
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
    steps: Following,
    outputs: tuple[VideoWriter, RecordWriter],
    *,
    painter: Painter | None = None,
    screen: Screen | None = None,
    stop: StopRequest | None = None,
) -> Summary:
    """Go through steps to the end of a source, or until the user stops it.

    Args:
        outputs: for the frames with boxes drawn, and their records.
        painter: draws them; None: boxes alone.
        screen: shows every frame; "q" and "escape" end, "r" asks for boxes anew.

    Raises:
        ValueError: see `Following`; a frame of another size than the first.
        VideoError: the source gives no frame at all.
    """
    (video, records), painter = outputs, painter or Painter()
    lost, ended_by, detail = Counter[int](), "end", ""
    try:
        for step in steps:
            # Show the targets; the user may correct their boxes.
            drawn = painter.draw(step.image, step.number, step.targets)
            key = screen.show(drawn) if screen else ""
            if screen and key == "r":
                step = steps.correct(screen.draw_boxes(step.image, len(step.targets)))
                drawn = painter.draw(step.image, step.number, step.targets)
            # Write them; the records first, which need less room.
            records.write(step.number, step.seconds, step.targets)
            video.write(drawn, step.seconds)
            lost.update(state.target for state in step.targets if state.lost)
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
