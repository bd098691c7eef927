"""LaSOT: `<class>/<class>-<n>/` with img/%08d.jpg, groundtruth.txt and two flag files.

Source: docs/method.md, section 7. Frames are numbered from 1. full_occlusion.txt and
out_of_view.txt hold one comma-separated line each.
"""

from lib.io.load_text import load_boxes
from lib.train.dataset.base_video_dataset import Annotation, BaseVideoDataset
from lib.utils.box_ops import has_area

TEXT_FILES = ("groundtruth.txt", "full_occlusion.txt", "out_of_view.txt")


class Lasot(BaseVideoDataset):
    """Visible is what is neither fully occluded nor out of view, and has an area."""

    def _text_files(self, sequence: str) -> list[str]:
        return [f"{_folder(sequence)}/{name}" for name in TEXT_FILES]

    def _read_annotation(self, sequence: str) -> Annotation:
        boxes_file, *flag_files = self._text_files(sequence)
        boxes = load_boxes(boxes_file, self.store)
        visible = has_area(boxes)
        for path in flag_files:
            visible &= self._load_flags(path, len(boxes)) == 0
        return Annotation(boxes, visible)

    def _frame_folder(self, sequence: str) -> str:
        return f"{_folder(sequence)}/img"


def _folder(sequence: str) -> str:
    """Folder of a sequence: "airplane-2" lies in "airplane"."""
    return f"{sequence.rsplit('-', 1)[0]}/{sequence}"
