"""Write clips as data sets, file by file as the real ones lie on disk.

    WRITERS["lasot"](root, {"dog-1": clip})  # or (name, clip) pairs, composed as they are needed

`root` is the folder that users name for that data set: the one that holds the class folders,
`train` and `val`, `TRAIN_0`, `annotations` and `images`, `sequences` and `anno` ... Clips come from
`lib/synthetic/compose.py`; boxes are written as they are, counted from pixel 0. A sequence's
annotation, or a set's list or JSON, follows its frames: what was cut short shows as missing.
Writing a sequence again replaces it; frames left over from a longer one of that name are refused.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.synthetic.compose import Clip
from lib.synthetic.layout_files import (
    QUALITY,
    Clips,
    add_line,
    chosen,
    lines,
    pairs,
    write_frames,
    write_image,
)
from lib.utils.files import atomic_write_text

Rows = Sequence[Mapping[str, str | int]]

COVER_LEVELS = (0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 0.999)  # GOT-10k: level 0 is 0 %, 8 is 100 %


class Default(NamedTuple):
    """Where a benchmark's table puts most sequences, {0} being the name without prefix."""

    prefix: str
    frames: str
    digits: int
    annotation: str


def write_lasot(root: Path, clips: Clips, *, quality: int = QUALITY) -> None:
    """Write LaSOT or its extension: `<class>/<class>-<n>/img/%08d.jpg` from 1, whole-number boxes.

    Raises:
        ValueError: a name that is not `<class>-<n>`.
    """
    for name, clip in pairs(clips):
        matched = re.fullmatch(r"(\w+)-\d+", name)
        if not matched:
            raise ValueError(f"LaSOT sequence {name!r}: a name like 'airplane-1' is needed")
        folder = Path(root) / matched[1] / name
        write_frames(folder / "img", "{:08d}.jpg", 1, clip, quality)
        outside = ~clip.visible & (clip.boxes_xywh[:, 2:].min(1) <= 0)
        hidden = ~clip.visible & ~outside
        for flags, stem in ((hidden, "full_occlusion"), (outside, "out_of_view")):
            atomic_write_text(folder / f"{stem}.txt", ",".join(str(int(f)) for f in flags) + "\n")
        atomic_write_text(folder / "groundtruth.txt", lines(clip.boxes_xywh))


def write_got10k(root: Path, clips: Clips, *, split: str = "train", quality: int = QUALITY) -> None:
    """Write a split of GOT-10k and add to its list.txt; "test" has the first box and no labels."""
    base = Path(root) / chosen("split", split, ("train", "val", "test"))
    for name, clip in pairs(clips):
        write_frames(base / name, "{:08d}.jpg", 1, clip, quality)
        if split != "test":
            _write_got10k_labels(base / name, clip)
        boxes = clip.boxes_xywh[:1] if split == "test" else clip.boxes_xywh
        atomic_write_text(base / name / "groundtruth.txt", lines(boxes, number="{:.4f}"))
        add_line(base / "list.txt", name)


def write_trackingnet(
    root: Path, clips: Clips, *, split: str = "TRAIN_0", quality: int = QUALITY
) -> None:
    """Write a split of TrackingNet, `<split>/{anno,frames}`; "TEST" has the first box alone."""
    allowed = (*(f"TRAIN_{number}" for number in range(12)), "TEST")
    base = Path(root) / chosen("split", split, allowed)
    for name, clip in pairs(clips):
        write_frames(base / "frames" / name, "{}.jpg", 0, clip, quality)
        boxes = clip.boxes_xywh[:1] if split == "TEST" else clip.boxes_xywh
        atomic_write_text(base / "anno" / f"{name}.txt", lines(boxes))


def write_coco(
    root: Path, clips: Clips, *, split: str = "train2017", quality: int = QUALITY
) -> None:
    """Write COCO: each frame an image, its target (if visible) an object, each clip a category.

    Raises:
        FileExistsError: the annotation file is there; it is for all clips and written at once.
    """
    path = Path(root) / "annotations" / f"instances_{split}.json"
    if path.exists():
        raise FileExistsError(f"{path} exists; all clips of a COCO set are written in one call")
    images, objects, categories = [], [], []
    for name, clip in pairs(clips):
        categories.append({"id": len(categories) + 1, "name": name, "supercategory": "clip"})
        for frame, box, visible in zip(clip.frames, clip.boxes_xywh, clip.visible, strict=True):
            identity = len(images) + 1
            file_name = f"{identity:012d}.jpg"
            write_image(Path(root) / "images" / split / file_name, frame, quality)
            size = {"height": frame.shape[0], "width": frame.shape[1]}
            images.append({"id": identity, "file_name": file_name, **size})
            if visible:
                objects.append(_coco_object(len(objects) + 1, identity, len(categories), box))
    content = {"images": images, "annotations": objects, "categories": categories}
    atomic_write_text(path, json.dumps(content))


def write_otb(
    root: Path, clips: Clips, *, rows: Rows = (), separator: str = ",", quality: int = QUALITY
) -> None:
    """Write OTB: `<name>/img/%04d.jpg` from 1, whole-number boxes (real separators: , tab space).

    `rows` of the benchmark's table, as csv.DictReader gives them, place the clips they name (with
    or without the set's prefix): folder, first and last number, digits, annotation file.
    """
    default = Default("otb", "{0}/img", 4, "{0}/groundtruth_rect.txt")
    for name, clip in pairs(clips):
        row = _row(name, rows, default)
        _write_row(root, row, clip, lines(clip.boxes_xywh, separator), quality)


def write_nfs(root: Path, clips: Clips, *, rows: Rows = (), quality: int = QUALITY) -> None:
    """Write NfS: `sequences/<name>/%05d.jpg` from 1, tabs in `anno/nfs_<name>.txt`; `rows`: OTB."""
    default = Default("nfs", "sequences/{0}", 5, "anno/nfs_{0}.txt")
    for name, clip in pairs(clips):
        row = _row(name, rows, default)
        _write_row(root, row, clip, lines(clip.boxes_xywh, "\t"), quality)


def write_uav(root: Path, clips: Clips, *, rows: Rows = (), quality: int = QUALITY) -> None:
    """Write UAV123: `data_seq/UAV123/<name>/%06d.jpg` from 1; NaN if invisible; `rows` as OTB."""
    default = Default("uav", "data_seq/UAV123/{0}", 6, "anno/UAV123/{0}.txt")
    for name, clip in pairs(clips):
        boxes = np.where(clip.visible[:, None], clip.boxes_xywh, np.nan)
        _write_row(root, _row(name, rows, default), clip, lines(boxes), quality)


def write_own(root: Path, clips: Clips, *, quality: int = QUALITY) -> None:
    """Write a user's own data: `<name>/%06d.jpg` from 1 and `<name>/groundtruth.txt`."""
    for name, clip in pairs(clips):
        write_frames(Path(root) / name, "{:06d}.jpg", 1, clip, quality)
        atomic_write_text(Path(root) / name / "groundtruth.txt", lines(clip.boxes_xywh))


WRITERS: dict[str, Callable[..., None]] = {
    "lasot": write_lasot,
    "lasot_ext": write_lasot,
    "got10k_train": write_got10k,
    "got10k_val": partial(write_got10k, split="val"),
    "got10k_test": partial(write_got10k, split="test"),
    "trackingnet_train": write_trackingnet,
    "trackingnet_test": partial(write_trackingnet, split="TEST"),
    "coco": write_coco,
    "otb": write_otb,
    "nfs": write_nfs,
    "uav": write_uav,
    "own": write_own,
}


def _write_got10k_labels(folder: Path, clip: Clip) -> None:
    """Write absence.label (0, 1), cover.label (0..8 of 8) and meta_info.ini."""
    levels = np.where(clip.visible, np.digitize(clip.cover, COVER_LEVELS, right=True), 0)
    atomic_write_text(folder / "absence.label", "".join(f"{int(not v)}\n" for v in clip.visible))
    atomic_write_text(folder / "cover.label", "".join(f"{level}\n" for level in levels))
    height, width = clip.frames.shape[1:3]
    minutes, seconds = divmod(len(clip.frames) // 10, 60)
    entries = {
        "url": "composed",
        "begin": "00:00:00",
        "end": f"00:{minutes:02d}:{seconds:02d}",
        "anno_fps": "10Hz",
        "object_class": "object",
        "motion_class": "moving",
        "major_class": "object",
        "root_class": "object",
        "motion_adverb": "smoothly",
        "resolution": f"({width}, {height})",
    }
    text = "".join(f"{key}: {value}\n" for key, value in entries.items())
    atomic_write_text(folder / "meta_info.ini", f"[METAINFO]\n{text}")


def _coco_object(identity: int, image: int, category: int, box_xywh: np.ndarray) -> dict:
    """Return a COCO annotation whose outline is the box."""
    x, y, w, h = (float(value) for value in box_xywh)
    return {
        "id": identity,
        "image_id": image,
        "category_id": category,
        "bbox": [x, y, w, h],
        "area": w * h,
        "iscrowd": 0,
        "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
    }


def _row(name: str, rows: Rows, default: Default) -> dict[str, str | int]:
    """Return the table's row of a sequence, or one made of the data set's usual places."""
    bare = name.removeprefix(f"{default.prefix}_")
    for row in rows:
        if row["name"] == f"{default.prefix}_{bare}":
            return dict(row)
    return {
        "name": name,
        "frames": default.frames.format(bare),
        "start": 1,
        "digits": default.digits,
        "ext": "jpg",
        "annotation": default.annotation.format(bare),
    }


def _write_row(root: Path, row: dict, clip: Clip, annotation: str, quality: int) -> None:
    """Write a clip where its row says.

    Sequences of one video share its folder; then the frames are only added to what is there.

    Raises:
        ValueError: the row is for another number of frames.
    """
    start, folder = int(row["start"]), Path(root) / row["frames"]
    pattern = f"{{:0{row['digits']}d}}.{row['ext']}"
    if "end" not in row:
        write_frames(folder, pattern, start, clip, quality)
    else:
        needed = int(row["end"]) - start + 1
        if len(clip.frames) != needed:
            raise ValueError(f"{row['name']}: {len(clip.frames)} frames; its row has {needed}")
        for number, frame in enumerate(clip.frames, start):
            write_image(folder / pattern.format(number), frame, quality)
    atomic_write_text(Path(root) / row["annotation"], annotation)
