"""COCO and image sets in its format: each annotated object is a sequence of one frame.

Source: docs/method.md, sections 4 and 7. Crowds are left out. lib/io/coco_file.py reads the JSON.
"""

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from lib.io.coco_file import CocoError, CocoFile, Entry, find_images, object_ids, read_coco
from lib.io.store import Store
from lib.train.dataset.base_dataset import BaseDataset, DatasetError, SequenceIndex, listed
from lib.utils.box_ops import has_area


class CocoSeq(BaseDataset):
    """Visible is an object whose box has an area."""

    is_video: ClassVar[bool] = False

    def __init__(
        self, name: str, store: Store, annotation_file: str, image_folder: str, *, whole: bool
    ) -> None:
        """See `BaseDataset`; the JSON file and the folder of its images are paths in the store.

        Args:
            whole: every image must be there; else, objects of missing ones are left out.
        """
        self._annotation_file = annotation_file
        self._image_folder = image_folder
        self._whole = whole
        super().__init__(name, store)

    def read_frame(self, sequence: int, frame: int) -> np.ndarray:
        """See `BaseDataset`; the stated size says whether boxes are of the turned image."""
        width, height = self._index.sizes[self._index.first[sequence] + frame].tolist()
        size = (width, height) if width and height else None
        return self.store.read_image(self.frame_path(sequence, frame), size)

    def _annotation_files(self) -> Iterable[str]:
        return (self._annotation_file,)

    def _build_index(self) -> SequenceIndex:
        source = self.store.root / self._annotation_file
        try:
            coco = read_coco(self.store.read_text(self._annotation_file), source)
            if not coco.objects:
                raise CocoError.without_objects(source, coco.notes)
        except ValueError as error:  # CocoError, or no text
            raise DatasetError(f"{self.name}: {error}") from error
        paths = self._find_images(coco)
        named = zip(object_ids(coco), coco.objects, strict=True)
        ids, objects = zip(*(item for item in named if item[1].image in paths), strict=True)
        self.notes += [f"{source}: {line}" for line in coco.notes.lines()]
        boxes = np.array([entry.box_xywh for entry in objects], np.float64)
        with np.errstate(over="ignore"):  # a box of 1e300 is infinite then, and cannot be used
            boxes = boxes.astype(np.float32)
        return SequenceIndex(
            names=np.array([f"object {key}".encode() for key in ids]),
            first=np.arange(len(objects) + 1, dtype=np.int64),
            boxes_xywh=boxes,
            visible=has_area(boxes),
            paths=np.array([paths[entry.image].encode() for entry in objects]),
            sizes=np.array([_stated_size(coco.images[o.image]) for o in objects], np.int32),
        )

    def _find_images(self, coco: CocoFile) -> dict[str, str]:
        """Paths in the store of the images with objects, by id."""
        files = {entry.image: coco.images[entry.image]["file_name"] for entry in coco.objects}
        found = find_images(self.store, self._image_folder, files.values())
        paths = {key: path for key, file in files.items() if (path := found[file]) is not None}
        if missing := sorted(file for file, path in found.items() if path is None):
            problem = (
                f"{len(missing)} of {len(found)} images are not in "
                f"{self.store.root / self._image_folder} (is the data set extracted to the end?), "
                f"the first is {missing[0]}:{listed(missing)}"
            )
            if self._whole or not paths:
                raise DatasetError(f"{self.name}: {problem}")
            self.notes.append(problem)
        return paths


def _stated_size(image: Entry) -> tuple[int, int]:
    """Width and height that the file states for an image; zeros where these are no numbers."""
    width, height = image.get("width"), image.get("height")
    if isinstance(width, int | float) and isinstance(height, int | float):
        if 0 < width < 2**31 and 0 < height < 2**31:
            return int(width), int(height)
    return 0, 0
