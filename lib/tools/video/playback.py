"""Stored results over the frames that they were made on: several runs, and the true boxes.

Neighbours: extract_results.py finds the files, painter.py draws, screen.py shows;
tracking/playback_results.py puts them together.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.io.load_text import load_boxes, load_column
from lib.io.video.draw import WHITE, Colour, add_legend, draw_box
from lib.io.video_file import VideoFrame, read_frame
from lib.test.evaluation.data import Sequence as FrameSequence
from lib.test.evaluation.results import score_file, verified
from lib.tools.video.painter import Painter, State, colour_of
from lib.tools.video.screen import Screen
from lib.utils.box_ops import has_area

TRUE_BOX = "true box"


class Track(NamedTuple):
    """What a run found in a sequence of n frames."""

    run: str
    target: int  # from 1: the colour, the same for a run in all sequences
    boxes_xywh: np.ndarray  # (m, 4) image pixels; m < n where the run is not whole
    scores: np.ndarray | None  # (m,) predicted IoU in [0, 1]; other trackers' results have none


def load_track(run: str, target: int, path: Path, name: str) -> Track:
    """Read a run's box file of a sequence, and its scores where there are any.

    Raises:
        OSError, ValueError: a file cannot be used, or has changed since it was written.
    """
    boxes_xywh = load_boxes(verified(path, name))
    scores_path = score_file(path.parent, name)
    scores = load_column(verified(scores_path, name)) if scores_path.exists() else None
    if scores is not None and len(scores) != len(boxes_xywh):
        raise ValueError(f"{scores_path}: {len(scores)} scores for {len(boxes_xywh)} boxes")
    return Track(run, target, boxes_xywh, scores)


def draw_sequence(
    sequence: FrameSequence, tracks: Sequence[Track], trail: int = 0
) -> Iterator[np.ndarray]:
    """Draw the frames of a sequence with boxes and a legend, (H + ..., W, 3) uint8 RGB.

    Args:
        trail: frames that a line through the boxes' middles shows.
    """
    painter = Painter(trail, labels=False)  # which would cover each other
    for number, frame in enumerate(sequence.frames):
        image = read_frame(frame)
        truth = sequence.boxes_xywh[number : number + 1]  # empty where only the first is known
        if len(truth) and has_area(truth[0]):
            image = draw_box(image, truth[0].tolist(), colour=WHITE)
        states = [state for track in tracks if (state := _state(track, number))]
        legend = [(TRUE_BOX, WHITE), *(_entry(track, number) for track in tracks)]
        yield add_legend(painter.draw(image, number, states), legend)


def frame_files(sequence: FrameSequence) -> list[Path]:
    """The files that a sequence's frames are read from."""
    files = (f.video.path if isinstance(f, VideoFrame) else f for f in sequence.frames)
    return list(dict.fromkeys(map(Path, files)))


def show_frames(screen: Screen, frames: Iterator[np.ndarray], rate: float) -> str:
    """Show frames on a screen; return the key that ended it, "n", "q" or "escape", else ""."""
    for frame in frames:
        if (key := screen.show(frame, max(1, round(1000 / rate)))) in ("n", "q", "escape"):
            return key
    return ""


def _state(track: Track, number: int) -> State | None:
    if number >= len(track.boxes_xywh) or not has_area(track.boxes_xywh[number]):
        return None
    return State(track.target, track.boxes_xywh[number].tolist(), None, False)


def _entry(track: Track, number: int) -> tuple[str, Colour]:
    """A run's text in the legend of a frame, with its score there, and its colour."""
    scores = track.scores[number : number + 1] if track.scores is not None else ()
    return " ".join([track.run, *(f"{score:.2f}" for score in scores)]), colour_of(track.target)
