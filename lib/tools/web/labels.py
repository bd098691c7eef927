"""Where the targets of one video are, frame by frame: found by a tracker, or checked by people."""

import threading
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from lib.io.layouts import Frames
from lib.test.tracker.targets import State

GONE = [0.0, 0.0, 0.0, 0.0]  # box of a target that is not in the frame
SAME = 1.0  # pixels: what a page rounds


class Clip(NamedTuple):
    """A target's labels in T frames, as lib/io/layouts.py writes them."""

    frames: Frames
    boxes_xywh: np.ndarray  # (T, 4), NaN where there is none
    visible: np.ndarray  # (T,) bool; a box that is lost is not
    cover: np.ndarray  # (T,) 1 where visible, else 0
    checked: np.ndarray  # (T,) bool


class Labels:
    """States by target and frame; a box without a score was drawn or checked by hand.

    Safe in threads: while one tracks, another draws.
    """

    def __init__(self) -> None:
        self._tracks: dict[int, dict[int, State]] = {}
        self._lock = threading.Lock()

    @property
    def targets(self) -> list[int]:
        """Numbers of the targets, from 1."""
        with self._lock:
            return sorted(self._tracks)

    def track(self, target: int) -> dict[int, State]:
        """A target's states by frame, in the order of the frames."""
        with self._lock:
            return dict(sorted(self._tracks.get(target, {}).items()))

    def at(self, frame: int) -> list[State]:
        """What is known in a frame, in the order of the targets."""
        with self._lock:
            tracks = sorted(self._tracks.items())
            return [states[frame] for _, states in tracks if frame in states]

    def put(self, frame: int, state: State) -> bool:
        """Keep what a tracker found; False, and nothing, where the box was checked by hand."""
        with self._lock:
            track = self._tracks.setdefault(state.target, {})
            if frame in track and track[frame].score is None:
                return False
            track[frame] = state
            return True

    def draw(self, frame: int, boxes: Iterable[tuple[int | None, list[float]]]) -> None:
        """Take all boxes of a frame (x, y, w, h in pixels) as a person leaves them.

        A box that moved, or is new, is checked. A box that is missing says that its target is not
        in this frame; one that was in no other frame is forgotten.

        Args:
            boxes: with the number of their target; None: a new one.

        Raises:
            ValueError: two boxes of one target.
        """
        with self._lock:
            numbered = self._numbered(boxes)
            for target, box in numbered.items():
                track = self._tracks.setdefault(target, {})
                known = track.get(frame)
                if known is None or np.abs(np.subtract(known.box_xywh, box)).max() > SAME:
                    track[frame] = State(target, box, None, False)
            for target, track in list(self._tracks.items()):
                if frame in track and target not in numbered:
                    track[frame] = State(target, GONE, None, True)
                    if len(track) == 1:
                        del self._tracks[target]

    def check(self, frame: int) -> None:
        """All boxes of a frame are right."""
        with self._lock:
            for target, track in self._tracks.items():
                if frame in track and track[frame].box_xywh != GONE:
                    track[frame] = track[frame]._replace(target=target, score=None, lost=False)

    def lost_after(self, frame: int) -> int | None:
        """The next frame where a tracker lost a target and did not in the frame before."""
        with self._lock:
            found = [
                number
                for track in self._tracks.values()
                for number, state in track.items()
                if number > frame and state.lost and state.score is not None
                if number - 1 not in track or not track[number - 1].lost
            ]
        return min(found, default=None)

    def starts(self, frame: int, step: int) -> Mapping[int, list[float]]:
        """Boxes to go on from in a frame: those checked, and those where tracking ended.

        Args:
            step: 1 forwards, -1 backwards.
        """
        with self._lock:
            return {
                target: track[frame].box_xywh
                for target, track in sorted(self._tracks.items())
                if frame in track and track[frame].box_xywh != GONE
                if track[frame].score is None or frame + step not in track
            }

    def clip(self, target: int, frames: Frames, first: int = 0) -> Clip:
        """A target's labels in frames of the video, from number `first` on."""
        track, count = self.track(target), len(frames)
        boxes = np.full((count, 4), np.nan)
        visible, checked = np.zeros(count, bool), np.zeros(count, bool)
        for number in range(first, first + count):
            if (state := track.get(number)) is not None:
                row = number - first
                boxes[row], visible[row] = state.box_xywh, not state.lost
                checked[row] = state.score is None
        return Clip(frames, boxes, visible, visible.astype(float), checked)

    def _numbered(self, boxes: Iterable[tuple[int | None, list[float]]]) -> dict[int, list[float]]:
        numbered: dict[int, list[float]] = {}
        new = []
        for target, box in boxes:
            if target is None:
                new.append(box)
            elif target in numbered:
                raise ValueError(f"two boxes are of target {target}; give one another number")
            else:
                numbered[target] = box
        free = max([0, *self._tracks, *numbered]) + 1
        return numbered | dict(enumerate(new, free))
