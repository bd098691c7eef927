"""Small data sets for tests: clips written as TrackingNet, COCO and GOT-10k's test split.

What the product itself writes is in `lib/io/layouts.py`.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from lib.io.layouts import coco_object, write_image
from lib.synthetic.render import Clip


def write_trackingnet(root: Path, clips: Mapping[str, Clip], split: str = "TRAIN_0") -> None:
    """Write `<split>/{anno,frames}`, frames from 0; "TEST" has the first box alone."""
    for name, clip in clips.items():
        _write_frames(root / split / "frames" / name, "{}.jpg", 0, clip)
        boxes = clip.boxes_xywh[:1] if split == "TEST" else clip.boxes_xywh
        _write_text(root / split / "anno" / f"{name}.txt", _lines(boxes))


def write_got10k_test(root: Path, clips: Mapping[str, Clip]) -> None:
    """Write `test/<name>/%08d.jpg` from 1 and the list; each has its first box and no labels."""
    for name, clip in clips.items():
        _write_frames(root / "test" / name, "{:08d}.jpg", 1, clip)
        text = _lines(clip.boxes_xywh[:1], "{:.4f}")
        _write_text(root / "test" / name / "groundtruth.txt", text)
    _write_text(root / "test" / "list.txt", "".join(f"{name}\n" for name in clips))


def write_coco(root: Path, clips: Mapping[str, Clip]) -> None:
    """Write train2017: each frame an image, its target (if visible) an object, each clip a
    category.
    """
    images: list[dict] = []
    objects: list[dict] = []
    for category, clip in enumerate(clips.values(), 1):
        for frame, box, visible in zip(clip.frames, clip.boxes_xywh, clip.visible, strict=True):
            image = len(images) + 1
            file_name = f"{image:012d}.jpg"
            write_image(root / "images" / "train2017" / file_name, frame)
            size = {"height": frame.shape[0], "width": frame.shape[1]}
            images.append({"id": image, "file_name": file_name, **size})
            if visible:
                ids = {"id": len(objects) + 1, "image_id": image, "category_id": category}
                objects.append(ids | coco_object(box))
    categories = [
        {"id": number, "name": name, "supercategory": "clip"}
        for number, name in enumerate(clips, 1)
    ]
    content = {"images": images, "annotations": objects, "categories": categories}
    _write_text(root / "annotations" / "instances_train2017.json", json.dumps(content))


def write_photographs(folder: Path, count: int = 3) -> None:
    """Write noise images whose segmentation masks hold one segment in the middle."""
    generator = np.random.default_rng(0)
    for number in range(count):
        photo = cv2.resize(generator.integers(0, 255, (15, 20, 3), np.uint8), (160, 120))
        mask = np.ones((120, 160), np.uint8)
        mask[40:80, 50:110] = 2
        cv2.imwrite(str(folder / f"{number}.jpg"), photo)
        cv2.imwrite(str(folder / f"{number}.png"), mask)


def _write_frames(folder: Path, pattern: str, first: int, clip: Clip) -> None:
    for number, frame in enumerate(clip.frames, first):
        write_image(folder / pattern.format(number), frame)


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _lines(boxes: np.ndarray, number: str = "{:.0f}") -> str:
    """One box per line."""
    return "".join(",".join(number.format(value) for value in box) + "\n" for box in boxes)
