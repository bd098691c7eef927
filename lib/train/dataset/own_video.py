"""Your own videos: `<sequence>/groundtruth.txt`, and frames beside it or in `<sequence>/img`.

groundtruth.txt has a line `x,y,w,h` a frame (pixels from the top-left corner; a box without area,
or of NaN, where the target is not to be seen). Frames are images of any name, in the order of the
numbers in their names.
"""

from lib.train.dataset.base_video_dataset import (
    Annotation,
    BaseVideoDataset,
    FrameFiles,
    has_area,
    read_boxes,
)
from lib.utils.image_files import by_number, is_image_name


class OwnVideo(BaseVideoDataset):
    """Visible is what has an area."""

    keeps_paths = True

    def frame_path(self, sequence: int, frame: int) -> str:
        """See `BaseDataset`."""
        return self._stored_path(sequence, frame)

    def _text_files(self, sequence: str) -> list[str]:
        return [f"{sequence}/groundtruth.txt"]

    def _read_annotation(self, sequence: str) -> Annotation:
        boxes = read_boxes(self.store, *self._text_files(sequence))
        return Annotation(boxes, has_area(boxes))

    def _frame_files(self, sequence: str, length: int) -> FrameFiles:
        names = self.store.names(sequence)
        folder = f"{sequence}/img" if "img" in names else sequence
        names = filter(is_image_name, self.store.names(folder))
        return FrameFiles(folder, sorted(names, key=by_number))
