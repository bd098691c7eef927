"""TrackingNet: `TRAIN_<k>/{anno/<id>.txt, frames/<id>/<i>.jpg}`.

Source: spec sections 4 and 7. Frames are numbered from 0. The boxes between every 30th frame were
made by a tracker, so only every 30th counts as visible.
"""

import numpy as np

from lib.io.load_text import load_boxes
from lib.train.dataset.base_video_dataset import (
    Annotation,
    BaseVideoDataset,
    FrameFiles,
)
from lib.utils.box_ops import has_area

ANNOTATED_EVERY = 30  # frames


class TrackingNet(BaseVideoDataset):
    """Sequences are named "TRAIN_<k>/<id>"."""

    def frame_path(self, sequence: int, frame: int) -> str:
        """See `BaseDataset`."""
        return f"{_frames(self.sequence_name(sequence))}/{frame}.jpg"

    def _text_files(self, sequence: str) -> list[str]:
        return [f"{sequence.replace('/', '/anno/')}.txt"]

    def _read_annotation(self, sequence: str) -> Annotation:
        boxes = load_boxes(self._text_files(sequence)[0], self.store)
        by_hand = np.arange(len(boxes)) % ANNOTATED_EVERY == 0
        return Annotation(boxes, has_area(boxes) & by_hand)

    def _frame_files(self, sequence: str, length: int) -> FrameFiles:
        return FrameFiles(_frames(sequence), [f"{number}.jpg" for number in range(length)])


def _frames(sequence: str) -> str:
    """Folder of a sequence's frames."""
    return sequence.replace("/", "/frames/")
