"""Draw targets on the frames of a video: boxes, numbers and scores, lost ones, and their trails."""

from collections import deque
from collections.abc import Iterable

import cv2
import numpy as np

from lib.io.video.draw import BLACK, Colour, draw_box, line_width, write_label
from lib.test.tracker.targets import State

# Of Okabe and Ito, which people who see few colours tell apart; the brighter ones first.
COLOURS: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (240, 228, 66),
    (204, 121, 167),
    (0, 158, 115),
    (213, 94, 0),
    (0, 114, 178),
)


class Painter:
    """Draws one frame after another; remembers the last boxes of each target."""

    def __init__(self, trail: int = 0, *, labels: bool = True) -> None:
        """Start without trails.

        Args:
            trail: how many of the last frames a line through the boxes' middles shows.
            labels: write number and score at each box.
        """
        self._length, self._labels = trail, labels
        self._trails: dict[int, deque[tuple[float, float]]] = {}

    def draw(self, image: np.ndarray, number: int, states: Iterable[State]) -> np.ndarray:
        """Draw targets (dashed where lost) and the frame's number on a copy of an RGB image."""
        drawn = image.copy()
        states = list(states)
        for state in states if self._length else ():
            self._draw_trail(drawn, state)
        for state in states:
            if state.box_xywh[2] <= 0:  # a person said that it is not there
                continue
            score = "" if state.score is None else f": {state.score:.2f}"
            label = f"{state.target}{score}{' lost' * state.lost}" if self._labels else ""
            drawn = draw_box(
                drawn, state.box_xywh, label, colour_of(state.target), dashed=state.lost
            )
        write_label(drawn, str(number), (0, image.shape[0]), BLACK)
        return drawn

    def _draw_trail(self, drawn: np.ndarray, state: State) -> None:
        trail = self._trails.setdefault(state.target, deque(maxlen=self._length))
        x, y, w, h = state.box_xywh
        trail.append((x + w / 2, y + h / 2))
        points = np.clip(np.round(trail), -(2**15), 2**15).astype(np.int32)
        cv2.polylines(
            drawn, [points], False, colour_of(state.target), line_width(drawn), cv2.LINE_AA
        )


def colour_of(target: int) -> Colour:
    """The colour of a target, from 1, the same in all frames."""
    return COLOURS[(target - 1) % len(COLOURS)]
