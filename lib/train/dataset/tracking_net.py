"""TrackingNet: `TRAIN_<k>/{anno/<id>.txt, frames/<id>/<i>.jpg}`.

Source: docs/method.md, sections 4 and 7. Frames are numbered from 0. The boxes between every 30th
frame were made by a tracker, so only every 30th counts as visible.
"""

import numpy as np

from lib.io.load_text import load_boxes
from lib.train.dataset.base_video_dataset import Annotation, BaseVideoDataset
from lib.utils.box_ops import has_area

ANNOTATED_EVERY = 30  # frames


class TrackingNet(BaseVideoDataset):
    """Sequences are named "TRAIN_<k>/<id>"."""

    def _text_files(self, sequence: str) -> list[str]:
        return [f"{sequence.replace('/', '/anno/')}.txt"]

    def _read_annotation(self, sequence: str) -> Annotation:
        boxes = load_boxes(self._text_files(sequence)[0], self.store)
        by_hand = np.arange(len(boxes)) % ANNOTATED_EVERY == 0
        return Annotation(boxes, has_area(boxes) & by_hand)

    def _frame_folder(self, sequence: str) -> str:
        return sequence.replace("/", "/frames/")

    def _frame_name(self, frame: int) -> str:
        return f"{frame}.jpg"
