"""LaSOT, GOT-10k and TrackingNet: which files describe a sequence, and which frames are visible.

Source: docs/method.md, sections 4 and 7. Frames are named by their number (base_video_dataset.py).
"""

from collections.abc import Sequence

import numpy as np

from lib.io.load_text import load_boxes
from lib.io.store import Store
from lib.train.dataset.base_video_dataset import Annotation, BaseVideoDataset
from lib.utils.box_ops import has_area

ANNOTATED_EVERY = 30  # frames of TrackingNet


class Lasot(BaseVideoDataset):
    """`<class>/<class>-<n>/` with img/%08d.jpg from 1, groundtruth.txt and two flag files.

    The flags are one comma-separated line. Visible is what is neither fully occluded nor out of
    view, and has an area.
    """

    def _text_files(self, sequence: str) -> list[str]:
        names = ("groundtruth.txt", "full_occlusion.txt", "out_of_view.txt")
        return [f"{self._folder(sequence)}/{name}" for name in names]

    def _read_annotation(self, sequence: str) -> Annotation:
        boxes_file, *flag_files = self._text_files(sequence)
        boxes = load_boxes(boxes_file, self.store)
        visible = has_area(boxes)
        for path in flag_files:
            visible &= self._load_flags(path, len(boxes)) == 0
        return Annotation(boxes, visible)

    def _frame_folder(self, sequence: str) -> str:
        return f"{self._folder(sequence)}/img"

    def _folder(self, sequence: str) -> str:
        return f"{sequence.rsplit('-', 1)[0]}/{sequence}"  # "airplane-2" lies in "airplane"


class Got10k(BaseVideoDataset):
    """`train|val/<sequence>/` with %08d.jpg from 1, groundtruth.txt, absence.label and cover.label.

    Visible is what is not absent, not wholly covered, and has an area.
    """

    def __init__(self, name: str, store: Store, sequences: Sequence[str], folder: str) -> None:
        """See `BaseVideoDataset`; `folder` is "train" or "val"."""
        self._folder = folder
        super().__init__(name, store, sequences)

    def _text_files(self, sequence: str) -> list[str]:
        names = ("groundtruth.txt", "absence.label", "cover.label")
        return [f"{self._folder}/{sequence}/{name}" for name in names]

    def _read_annotation(self, sequence: str) -> Annotation:
        boxes_file, absence_file, cover_file = self._text_files(sequence)
        boxes = load_boxes(boxes_file, self.store)
        absent = self._load_flags(absence_file, len(boxes)) != 0
        cover = self._load_flags(cover_file, len(boxes))
        return Annotation(boxes, has_area(boxes) & ~absent & (cover > 0))

    def _frame_folder(self, sequence: str) -> str:
        return f"{self._folder}/{sequence}"


class TrackingNet(BaseVideoDataset):
    """`TRAIN_<k>/{anno/<id>.txt, frames/<id>/<i>.jpg}`, i from 0; a sequence is "TRAIN_<k>/<id>".

    A tracker made the boxes between every 30th frame: every 30th and the last count as visible.
    """

    def _text_files(self, sequence: str) -> list[str]:
        return [f"{sequence.replace('/', '/anno/')}.txt"]

    def _read_annotation(self, sequence: str) -> Annotation:
        boxes = load_boxes(self._text_files(sequence)[0], self.store)
        by_hand = np.arange(len(boxes)) % ANNOTATED_EVERY == 0
        by_hand[-1:] = True  # Kept: the last frame counts too, though a tracker made its box
        return Annotation(boxes, has_area(boxes) & by_hand)

    def _frame_folder(self, sequence: str) -> str:
        return sequence.replace("/", "/frames/")

    def _frame_name(self, frame: int) -> str:
        return f"{frame}.jpg"
