"""COCO and image sets in its format: each annotated object is a sequence of one frame.

Source: docs/method.md, sections 4 and 7. Crowds are left out. pycocotools makes the index, once.
"""

import contextlib
import io
import json
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from lib.io.store import Store
from lib.train.dataset.base_dataset import BaseDataset, DatasetError, SequenceIndex
from lib.utils.box_ops import has_area


class CocoSeq(BaseDataset):
    """Visible is an object whose box has an area."""

    is_video: ClassVar[bool] = False

    def __init__(self, name: str, store: Store, annotation_file: str, image_folder: str) -> None:
        """See `BaseDataset`; the JSON file and the folder of its images are paths in the store."""
        self._annotation_file = annotation_file
        self._image_folder = image_folder
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
        coco = _parse(self.store.read_text(self._annotation_file), f"{self.name}: {source}")
        objects = coco.loadAnns(coco.getAnnIds(iscrowd=False))
        if not objects:
            raise DatasetError(f"{self.name}: no objects in {source}")
        by_id = {image["id"]: image for image in coco.dataset["images"]}
        images = [by_id[entry["image_id"]] for entry in objects]
        self._check_images({image["file_name"] for image in images})
        boxes = np.array([entry["bbox"] for entry in objects], np.float64).reshape(-1, 4)
        return SequenceIndex(
            names=np.array([f"object {entry['id']}".encode() for entry in objects]),
            first=np.arange(len(objects) + 1, dtype=np.int64),
            boxes_xywh=boxes.astype(np.float32),
            visible=has_area(boxes),
            paths=np.array([f"{self._image_folder}/{i['file_name']}".encode() for i in images]),
            sizes=np.array([_stated_size(image) for image in images], np.int32),
        )

    def _check_images(self, needed: set[str]) -> None:
        missing = sorted(needed - set(self.store.names(self._image_folder)))
        if missing:
            raise DatasetError(
                f"{self.name}: {len(missing)} of {len(needed)} images are not in "
                f"{self.store.root / self._image_folder} (is the data set extracted to the end?), "
                f"the first is {missing[0]}"
            )


def _stated_size(image: dict[str, Any]) -> tuple[Any, Any]:
    """Width and height that the file states for an image; zeros where these are no numbers."""
    size = image.get("width"), image.get("height")
    known = all(isinstance(side, int | float) and 0 < side < 2**31 for side in size)
    return size if known else (0, 0)


def _parse(text: str, source: str) -> Any:
    try:
        from pycocotools.coco import COCO
    except ImportError as error:
        raise ImportError(f"{source} needs the package pycocotools to be read") from error
    coco = COCO()
    try:
        coco.dataset = json.loads(text)
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
        coco.dataset["images"], coco.dataset["annotations"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{source}: not an annotation file of COCO ({error!r})") from error
    return coco
