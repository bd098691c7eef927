"""A sequence as pictures for the HTML report: some of its frames with boxes, and its overlap.

Frames are read only here, where they are at hand; scoring needs none.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from lib.io.load_text import load_boxes
from lib.io.video_file import read_frame
from lib.test.analysis import metrics
from lib.test.analysis.extract_results import Evaluation, common_sequences, figures
from lib.test.analysis.report import Report, annotation_root
from lib.test.evaluation.data import Sequence as Frames
from lib.test.evaluation.datasets import TestSet, open_annotations, open_dataset
from lib.test.evaluation.results import box_file

SEQUENCES = 8  # shown for one protocol
TILES = 6  # frames of each
TILE_WIDTH = 260  # pixels of the picture
JPEG_QUALITY = 72
BUDGET = 3_000_000  # characters of pictures on a page
POINTS = 240  # of an overlap curve

Box = tuple[float, float, float, float]  # x, y, w, h


class Tile(NamedTuple):
    """One frame. Boxes are in pixels of the whole image, which `width` and `height` give."""

    index: int  # of the frame, from 0
    picture: str  # data URI of a JPEG
    width: int
    height: int
    truth: Box | None  # None: unknown, or the target is not to be seen
    predictions: list[tuple[int, Box]]  # index of the run, its box


class Strip(NamedTuple):
    """One sequence."""

    name: str
    frames: int
    scores: list[tuple[int, str, float]]  # index of the run, its name, AUC in percent
    overlaps: list[tuple[int, str]]  # index of the run, SVG path of its IoU along the sequence
    tiles: list[Tile]
    why_none: str  # why there are no tiles; empty if there are


class StripMaker:
    """Draws strips of one data set until the page is full."""

    def __init__(self, report: Report, root: Path | None, budget: int = BUDGET) -> None:
        """Find annotation and frames.

        Args:
            root: as for `make_report`.
            budget: characters that pictures may take.
        """
        place = annotation_root(report.dataset, root)
        self._annotations = open_annotations(report.dataset, place)
        self._places = [place] if root is None else [place, None]  # None: as the settings say
        self._dataset = report.dataset
        self.budget = budget

    def strip(self, name: str, evaluations: Sequence[Evaluation]) -> Strip:
        """Make the strip of a sequence that every run was scored on."""
        annotated = self._annotations.read(name)
        truth = annotated.boxes_xywh
        if annotated.visible is not None:
            truth = np.where(annotated.visible[:, None], truth, np.nan)
        boxes = [load_boxes(box_file(item.folder, name)) for item in evaluations]
        tiles, why_none = self._tiles(name, truth, boxes)
        scores = [
            (index, item.run, figures([item.scores[name]])["AUC"])
            for index, item in enumerate(evaluations)
        ]
        overlaps = [(index, _overlap_path(truth, item)) for index, item in enumerate(boxes)]
        return Strip(name, len(truth), scores, overlaps, tiles, why_none)

    def _tiles(
        self, name: str, truth: np.ndarray, boxes: list[np.ndarray]
    ) -> tuple[list[Tile], str]:
        """Frames spread over the sequence; or none, and why."""
        if self.budget <= 0:
            return [], "the page would grow too large"
        tiles = []
        try:
            frames = self._load(name).frames
            for index in np.linspace(0, len(frames) - 1, min(TILES, len(frames))).astype(int):
                tiles.append(_tile(int(index), read_frame(frames[index]), truth, boxes))
        except (OSError, ValueError) as error:
            return [], f"the frames are not at hand: {error}"
        self.budget -= sum(len(tile.picture) for tile in tiles)
        return tiles, ""

    def _load(self, name: str) -> Frames:
        """Find a sequence's frames beside the annotation or where the settings say.

        Raises:
            OSError, ValueError: they are in neither place.
        """
        *others, last = self._places
        for place in others:
            try:
                return self._open(place).load(name)
            except (OSError, ValueError):
                continue
        return self._open(last).load(name)

    def _open(self, place: Path | None) -> TestSet:
        return open_dataset(self._dataset, place)


def worst_sequences(evaluations: Sequence[Evaluation], count: int = SEQUENCES) -> list[str]:
    """Sequences with the lowest mean AUC over the runs, the worst first."""

    def mean(name: str) -> float:
        return float(np.mean([figures([item.scores[name]])["AUC"] for item in evaluations]))

    return sorted(common_sequences(evaluations), key=lambda name: (mean(name), name))[:count]


def _tile(index: int, rgb: np.ndarray, truth: np.ndarray, boxes: list[np.ndarray]) -> Tile:
    """Shrink a frame and look its boxes up."""
    height, width = rgb.shape[:2]
    size = (TILE_WIDTH, max(round(height * TILE_WIDTH / width), 1))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    picture = "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
    found = [(run, _box(item, index)) for run, item in enumerate(boxes)]
    drawn = [(run, box) for run, box in found if box is not None]
    return Tile(index, picture, width, height, _box(truth, index), drawn)


def _box(boxes_xywh: np.ndarray, index: int) -> Box | None:
    """A box that can be drawn."""
    if index >= len(boxes_xywh):
        return None
    box = boxes_xywh[index]
    return tuple(box.tolist()) if np.isfinite(box).all() and (box[2:] > 0).all() else None


def _overlap_path(truth: np.ndarray, boxes: np.ndarray) -> str:
    """IoU along the sequence as an SVG path: x from 0 to POINTS, y 1 - IoU.

    Neighbours are averaged where the sequence is long; the line breaks where no truth is known.
    """
    count = min(len(truth), len(boxes))
    iou = metrics.intersection_over_union(boxes[:count], truth[:count])
    path, drawing = [], False
    for number, part in enumerate(np.array_split(iou, min(POINTS, count))):
        known = part[np.isfinite(part)]
        if len(known):
            x = number * POINTS / max(min(POINTS, count) - 1, 1)
            path.append(f"{'L' if drawing else 'M'}{x:.4g} {1 - known.mean():.3g}")
        drawing = len(known) > 0
    return "".join(path)
