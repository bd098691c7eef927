"""A test set: the sequences below a folder, frames and annotation; layouts.py has each."""

import csv
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lib.io.listing import list_folder, read_text, split_lines
from lib.io.load_text import load_boxes
from lib.io.video_file import Frame
from lib.test.evaluation.data import Sequence, SequenceError, Truth
from lib.utils.image import by_number, is_image_name

logger = logging.getLogger(__name__)

TABLES = Path(__file__).parent / "sequences"


def read_names(table: str) -> tuple[str, ...]:
    """Names in a table of one name per line, such as `lasot_test.txt`."""
    return tuple(split_lines(read_text(TABLES / table)))


def read_rows(table: str) -> dict[str, dict[str, str]]:
    """Rows by sequence name of a table with a header, such as `otb.csv`."""
    with open(TABLES / table, encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


class TestSet:
    """A test set: for each sequence a folder of images and a file of boxes, both below `root`."""

    __test__ = False  # no test case, whatever pytest thinks of the name

    images = "{name}"  # paths below the root; {category} is "airplane" of "airplane-1"
    annotation = "{name}/groundtruth.txt"
    unscorable = "nothing to score against"  # where the annotation is the first box only

    def __init__(self, dataset: str, root: Path, names: Iterable[str]) -> None:
        """names: of the sequences, in order; none of them is touched yet."""
        self.dataset, self.root, self.names = dataset, root, tuple(names)

    def load(self, name: str) -> Sequence:
        """Return what a tracker runs on.

        Raises:
            SequenceError, FileNotFoundError: frames or boxes are not there, or do not fit.
        """
        try:
            boxes = self.boxes(name)
            sequence = Sequence(name, self.dataset, self.frames(name), boxes)
            self.check(sequence)
            return sequence
        except ValueError as error:
            raise SequenceError(f"{name}: {error}") from error

    def truth(self, name: str) -> Truth:
        """Return what a result is scored against; images need not be there.

        Raises:
            FileNotFoundError, ValueError: it is not there, cannot be read, or is one box only.
        """
        boxes = self.boxes(name)
        if len(boxes) == 1:
            raise ValueError(f"{self.box_file(name)} holds the first box only: {self.unscorable}")
        return Truth(name, self.dataset, boxes, **self.extras(name, len(boxes)))

    def folder(self, name: str) -> Path:
        """The folder of a sequence's images."""
        return self.root / self.images.format(name=name, category=category_of(name))

    def box_file(self, name: str) -> Path:
        """The file of a sequence's boxes, x,y,w,h in image pixels, one per line."""
        return self.root / self.annotation.format(name=name, category=category_of(name))

    def frames(self, name: str) -> tuple[Frame, ...]:
        """Frames of a sequence, in order."""
        files = filter(is_image_name, list_frames_folder(self.folder(name)))
        return tuple(self.folder(name) / file for file in sorted(files, key=by_number))

    def boxes(self, name: str) -> np.ndarray:
        """(n, 4) float64 xywh in image pixels, NaN where unknown."""
        return load_boxes(self.box_file(name))

    def extras(self, name: str, count: int) -> dict[str, Any]:
        """What `Truth` has beside `count` boxes."""
        return {}

    def check(self, sequence: Sequence) -> None:
        """Raise ValueError where frames and boxes cannot belong together."""
        frames, boxes = len(sequence.frames), len(sequence.boxes_xywh)
        if not frames:
            raise ValueError("the sequence is empty, there is no frame")
        if not boxes:
            raise ValueError("the annotation is empty, there is no first box")
        if boxes > frames:
            raise ValueError(f"more boxes ({boxes}) than frames ({frames})")
        if 1 < boxes < frames:
            logger.warning("%s: %d boxes for %d frames", sequence.name, boxes, frames)


def category_of(name: str) -> str:
    return name.rsplit("-", 1)[0]


def list_frames_folder(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder of frames {folder}")
    return list_folder(folder)
