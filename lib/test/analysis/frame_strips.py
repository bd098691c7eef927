"""A sequence as pictures for the HTML report: some of its frames with boxes, and its overlap.

Frames are read only here, where they exist; scoring needs none.
"""

import base64
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from lib.io.video_file import read_frame
from lib.test.analysis.extract_results import Evaluation, common_sequences, figures
from lib.test.analysis.metrics import intersection_over_union
from lib.test.analysis.report import annotation_root
from lib.test.evaluation.data import Sequence as FrameSequence
from lib.test.evaluation.datasets import open_dataset
from lib.utils.box_ops import has_area
from lib.utils.image import encode_rgb

MAX_SEQUENCES = 8  # under one protocol
MAX_TILES = 6  # frames of each
TILE_WIDTH = 400  # pixels of the picture, which the page shows smaller until it is enlarged
JPEG_QUALITY = 72
MAX_PICTURES = 6_000_000  # characters on a page
POINTS = 240  # of an overlap curve

BoxXywh = tuple[float, ...]  # x, y, w, h in pixels of the whole image


class Tile(NamedTuple):
    frame: int  # its index, from 0
    picture: str  # data URI of a JPEG
    width: int  # pixels of the whole image
    height: int
    truth: BoxXywh | None  # None: unknown, or the target is not visible
    predictions: list[tuple[int, BoxXywh]]  # index of the run, its box


class Track(NamedTuple):
    run: str
    auc: float  # percent
    overlap: str  # SVG path of its IoU along the sequence


class Strip(NamedTuple):
    name: str
    frames: int
    tracks: list[Track]  # in the order of the runs
    tiles: list[Tile]
    why_none: str  # why there are no tiles; empty if there are


class StripMaker:
    """Draws strips of one data set until the page is full."""

    def __init__(self, dataset: str, root: Path | None, budget: int = MAX_PICTURES) -> None:
        """Note where frames may lie; `root` as for `make_report`, `budget` in characters."""
        self._dataset = dataset
        self._root = None if root is None else annotation_root(dataset, root)
        self.budget = budget

    def strip(self, name: str, evaluations: Sequence[Evaluation]) -> Strip:
        """Make the strip of a sequence that every run was scored on."""
        annotation = evaluations[0].truths[name]
        truth, visible = annotation.boxes_xywh, annotation.visible
        truth = truth if visible is None else np.where(visible[:, None], truth, np.nan)
        predictions = [item.boxes_xywh[name] for item in evaluations]
        tiles, why_none = self._tiles(name, truth, predictions)
        tracks = [
            Track(item.run, figures([item.scores[name]])["AUC"], _overlap_path(truth, boxes))
            for item, boxes in zip(evaluations, predictions, strict=True)
        ]
        return Strip(name, len(truth), tracks, tiles, why_none)

    def _tiles(
        self, name: str, truth: np.ndarray, predictions: list[np.ndarray]
    ) -> tuple[list[Tile], str]:
        if self.budget <= 0:
            return [], "the page would grow too large"
        tiles = []
        try:
            frames = self._load(name).frames
            for index in np.linspace(0, len(frames) - 1, min(MAX_TILES, len(frames))).astype(int):
                tiles.append(_tile(int(index), read_frame(frames[index]), truth, predictions))
        except (OSError, ValueError) as error:
            return [], f"the frames cannot be read: {error}"
        self.budget -= sum(len(tile.picture) for tile in tiles)
        return tiles, ""

    def _load(self, name: str) -> FrameSequence:
        """Find a sequence's frames; OSError or ValueError where they are in neither place."""
        if self._root is not None:
            with contextlib.suppress(OSError, ValueError):
                return open_dataset(self._dataset, self._root).load(name)
        return open_dataset(self._dataset).load(name)


def worst_sequences(evaluations: Sequence[Evaluation], count: int = MAX_SEQUENCES) -> list[str]:
    """Sequences with the lowest mean AUC over the runs, the worst first."""

    def mean_auc(name: str) -> float:
        return float(np.mean([figures([item.scores[name]])["AUC"] for item in evaluations]))

    return sorted(common_sequences(evaluations), key=lambda name: (mean_auc(name), name))[:count]


def _tile(index: int, rgb: np.ndarray, truth: np.ndarray, predictions: list[np.ndarray]) -> Tile:
    height, width = rgb.shape[:2]
    size = (TILE_WIDTH, max(round(height * TILE_WIDTH / width), 1))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    encoded = base64.b64encode(encode_rgb(small, ".jpg", JPEG_QUALITY))
    picture = f"data:image/jpeg;base64,{encoded.decode()}"
    boxes = [(run, box) for run, item in enumerate(predictions) if (box := _box(item, index))]
    return Tile(index, picture, width, height, _box(truth, index), boxes)


def _box(boxes_xywh: np.ndarray, index: int) -> BoxXywh | None:
    if index < len(boxes_xywh) and has_area(boxes_xywh[index]):
        return tuple(boxes_xywh[index].tolist())
    return None


def _overlap_path(truth: np.ndarray, boxes: np.ndarray) -> str:
    """IoU along the sequence as an SVG path: x from 0 to POINTS, y 1 - IoU.

    Neighbours are averaged where the sequence is long; the line breaks where no truth is known.
    """
    count = min(len(truth), len(boxes))
    iou = intersection_over_union(boxes[:count], truth[:count])
    path, drawing = [], False
    for number, part in enumerate(np.array_split(iou, min(POINTS, count))):
        known = part[np.isfinite(part)]
        if len(known):
            x = number * POINTS / max(min(POINTS, count) - 1, 1)
            path.append(f"{'L' if drawing else 'M'}{x:.4g} {1 - known.mean():.3g}")
        drawing = len(known) > 0
    return "".join(path)
