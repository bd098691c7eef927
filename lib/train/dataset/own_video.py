"""Your own videos: folders of frames, video files, a CSV or COCO, as lib/io/own_data.py says."""

import contextlib
from collections.abc import Iterable, Sequence

import numpy as np

from lib.io.box_doubts import doubt_boxes
from lib.io.own_data import check_boxes, own_boxes, own_frames, own_lists, own_sequences
from lib.io.store import Store
from lib.io.video_file import OpenVideos, is_video_name
from lib.train.dataset.base_dataset import BaseDataset, DatasetError, SequenceIndex, listed
from lib.train.dataset.base_video_dataset import Annotation, BaseVideoDataset
from lib.utils.box_ops import has_area


class OwnVideo(BaseVideoDataset):
    """Visible is what has an area."""

    whole = False
    advice = "docs/data.md shows what belongs where"

    def __init__(self, name: str, store: Store) -> None:
        """See `BaseDataset`; a list of sequences that cannot be read is a DatasetError too."""
        try:
            self._own = own_sequences(store)
        except ValueError as error:
            raise DatasetError(f"{name}: {error}") from error
        self._videos = OpenVideos(store.root)
        super().__init__(name, store, list(self._own))

    def _build_index(self) -> SequenceIndex:
        """Note boxes that look like corners or fractions, by the size of a first frame."""
        index, doubts = super()._build_index(), []
        for sequence, name in enumerate(index.names):
            first, end = index.first[sequence : sequence + 2]
            with contextlib.suppress(OSError, ValueError):  # it is told where the frame is drawn
                height, width = self._read(index.paths[first].decode(), 0).shape[:2]
                doubt = doubt_boxes(index.boxes_xywh[first:end], width, height)
                doubts += [f"{name}: {doubt}"] * bool(doubt)
        if doubts:
            self.notes.append(f"boxes of {len(doubts)} sequences are in doubt:{listed(doubts)}")
        return index

    frame_path = BaseDataset.frame_path  # as the index says: a video's own path for its frames

    def read_frame(self, sequence: int, frame: int) -> np.ndarray:
        return self._read(self.frame_path(sequence, frame), frame)

    def _read(self, path: str, frame: int) -> np.ndarray:
        return (
            self._videos.read(path, frame) if is_video_name(path) else self.store.read_image(path)
        )

    def _annotation_files(self) -> Iterable[str]:
        return [*own_lists(self.store), *super()._annotation_files()]

    def _text_files(self, sequence: str) -> list[str]:
        own = self._own[sequence]
        return [own.boxes, own.place] if is_video_name(own.place) else [own.boxes]

    def _read_annotation(self, sequence: str) -> Annotation:
        boxes = own_boxes(self.store, self._own[sequence])
        return Annotation(boxes, has_area(boxes))

    def _frame_folder(self, sequence: str) -> str:
        return self._own[sequence].place

    def _find_frames(self, sequence: str, count: int) -> Sequence[str]:
        own = self._own[sequence]
        paths = own_frames(self.store, own)
        check_boxes(self.store, own, count, len(paths), first_is_enough=False)
        return paths
