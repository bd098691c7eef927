"""Tracks of a COCO file with videos: one object through the images of one video.

    videos       {"id": 1, "name": "walk"}
    images       {"id": 7, "file_name": "walk/000007.jpg", "video_id": 1, "frame_id": 6}
    annotations  {"id": 3, "image_id": 7, "track_id": 2, "bbox": [x, y, w, h]}

`instance_id` and `frame_index` stand for `track_id` and `frame_id` as well; without a number of the
frame, images are in the order of the numbers in their names. Used by `own_data.py`.
"""

import json
import re
from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lib.utils.image import by_number

FRAME_KEYS = ("frame_id", "frame_index")
TRACK_KEYS = ("track_id", "instance_id")


class Track(NamedTuple):
    """One object, from its first annotated image to the video's last."""

    files: tuple[str, ...]  # names of the T images
    boxes_xywh: np.ndarray  # (T, 4) float64 pixels of the image; NaN where it is not annotated


def read_tracks(text: str, path: Path) -> dict[str, Track]:
    """Read all tracks; they are called `<video>_<track>`. Crowds are left out.

    Args:
        text: the JSON.
        path: where it is from, for messages.

    Raises:
        ValueError: no JSON, no videos or tracks in it, or an entry that lacks something.
    """
    content = _parse(text, path)
    names = {video["id"]: _clean(str(video.get("name", video["id"]))) for video in content.videos}
    images = _images_by_video(content.images, names, path)
    boxes = _boxes_by_track(content.annotations, {i["id"]: i for i in content.images}, path)
    tracks = {}
    for (video, track), by_image in boxes.items():
        first = next(n for n, image in enumerate(images[video]) if image["id"] in by_image)
        rest = images[video][first:]
        rows = [by_image.get(image["id"], [np.nan] * 4) for image in rest]
        tracks[f"{names[video]}_{_clean(str(track))}"] = Track(
            tuple(image["file_name"] for image in rest), np.array(rows, np.float64)
        )
    if len(tracks) != len(boxes):
        raise ValueError(f"{path}: two videos of one name; the name and track must tell them apart")
    return tracks


class _Content(NamedTuple):
    """The three lists of a file, whose entries have their COCO keys."""

    videos: list[dict[str, Any]]
    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]


def _parse(text: str, path: Path) -> _Content:
    """The lists of a JSON text, each entry checked for the keys that COCO requires."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from None
    lists = {name: _entries(content, name, path) for name in ("images", "annotations")}
    if not (isinstance(content, dict) and content.get("videos")):
        raise ValueError(
            f"{path}: no 'videos' in it: objects of single images are no sequences. For tracking, "
            "'videos', 'video_id' of each image and 'track_id' of each annotation are needed; for "
            "training on images there is OWN_IMAGES"
        )
    lists["videos"] = _entries(content, "videos", path)
    needed = {
        "videos": ("id",),
        "images": ("id", "file_name", "video_id"),
        "annotations": ("image_id", "bbox"),
    }
    for name, keys in needed.items():
        for number, entry in enumerate(lists[name]):
            for key in keys:
                if key not in entry:
                    raise ValueError(f"{path}: {name}[{number}] has no {key!r}")
    return _Content(lists["videos"], lists["images"], lists["annotations"])


def _entries(content: object, name: str, path: Path) -> list[dict[str, Any]]:
    """One of the lists of objects in a file."""
    entries = content.get(name) if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{path}: no list {name!r}; not an annotation file of COCO")
    return entries


def _images_by_video(
    images: Iterable[dict[str, Any]], names: dict[Any, str], path: Path
) -> dict[Any, list[dict[str, Any]]]:
    """Images of each video in temporal order."""
    by_video: dict[Any, list[dict[str, Any]]] = {}
    for image in images:
        if image["video_id"] not in names:
            raise ValueError(
                f"{path}: image {image['id']} is of video {image['video_id']}, which is not in "
                "'videos'"
            )
        by_video.setdefault(image["video_id"], []).append(image)
    for group in by_video.values():
        key = next((key for key in FRAME_KEYS if all(key in image for image in group)), None)
        group.sort(key=itemgetter(key) if key else _by_file_name)
    return by_video


def _by_file_name(image: dict[str, Any]) -> list[int | str]:
    return by_number(image["file_name"])


def _boxes_by_track(
    annotations: Iterable[dict[str, Any]], images: dict[Any, dict[str, Any]], path: Path
) -> dict[tuple[Any, Any], dict[Any, list[float]]]:
    """Boxes by image, of each video and track."""
    boxes: dict[tuple[Any, Any], dict[Any, list[float]]] = {}
    for number, entry in enumerate(annotations):
        place = f"{path}: annotations[{number}]"
        if entry.get("iscrowd"):
            continue
        key = next((key for key in TRACK_KEYS if key in entry), None)
        if key is None:
            raise ValueError(f"{place} has no 'track_id': which object of the video is it?")
        if entry["image_id"] not in images:
            raise ValueError(f"{place} is of image {entry['image_id']}, which is not in 'images'")
        if not _is_box(entry["bbox"]):
            raise ValueError(f"{place}: bbox is {entry['bbox']!r}; x, y, w, h are needed")
        track = boxes.setdefault((images[entry["image_id"]]["video_id"], entry[key]), {})
        if entry["image_id"] in track:
            image = entry["image_id"]
            raise ValueError(f"{place}: track {entry[key]} has two boxes in image {image}")
        track[entry["image_id"]] = entry["bbox"]
    if not boxes:
        raise ValueError(f"{path}: no objects in it")
    return boxes


def _is_box(box: object) -> bool:
    """Whether it is a list of four numbers."""
    if not isinstance(box, list) or len(box) != 4:
        return False
    return all(isinstance(value, int | float) for value in box)


def _clean(name: str) -> str:
    """Make a name that can be a file's."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "-"
