"""GOT-10k: `train|val/<sequence>/{%08d.jpg, groundtruth.txt, absence.label, cover.label}`.

Source: docs/method.md, section 7. Frames are numbered from 1; `list.txt` names the sequences.
"""

from collections.abc import Sequence

from lib.io.load_text import load_boxes
from lib.io.store import Store
from lib.train.dataset.base_video_dataset import Annotation, BaseVideoDataset
from lib.utils.box_ops import has_area

TEXT_FILES = ("groundtruth.txt", "absence.label", "cover.label")


class Got10k(BaseVideoDataset):
    """Visible is what is not absent, not wholly covered, and has an area."""

    def __init__(self, name: str, store: Store, sequences: Sequence[str], folder: str) -> None:
        """See `BaseVideoDataset`; `folder` is "train" or "val"."""
        self._folder = folder
        super().__init__(name, store, sequences)

    def _text_files(self, sequence: str) -> list[str]:
        return [f"{self._folder}/{sequence}/{name}" for name in TEXT_FILES]

    def _read_annotation(self, sequence: str) -> Annotation:
        boxes_file, absence_file, cover_file = self._text_files(sequence)
        boxes = load_boxes(boxes_file, self.store)
        absent = self._load_flags(absence_file, len(boxes)) != 0
        cover = self._load_flags(cover_file, len(boxes))
        return Annotation(boxes, has_area(boxes) & ~absent & (cover > 0))

    def _frame_folder(self, sequence: str) -> str:
        return f"{self._folder}/{sequence}"
