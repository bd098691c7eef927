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

Entry = dict[str, Any]  # with COCO's keys

REQUIRED = {
    "images": ("id", "file_name", "video_id"),
    "annotations": ("image_id", "bbox"),
    "videos": ("id",),
}
FRAME_KEYS = ("frame_id", "frame_index")
TRACK_KEYS = ("track_id", "instance_id")
NO_VIDEOS = (
    "no 'videos' in it: objects of single images are no sequences. For tracking, 'videos', "
    "'video_id' of each image and 'track_id' of each annotation are needed; for training on images "
    "there is OWN_IMAGES"
)


class Track(NamedTuple):
    """One object, from its first annotated image to the video's last."""

    files: tuple[str, ...]  # names of the T images
    boxes_xywh: np.ndarray  # (T, 4) float64 pixels of the image; NaN where it is not annotated


def read_tracks(text: str, path: Path) -> dict[str, Track]:
    """Parse a JSON text into tracks, called `<video>_<track>`. Crowds are left out.

    ValueError names `path`: no JSON, no videos or tracks in it, or an entry that lacks something.
    """
    lists = _parse(text, path)
    names = {v["id"]: _clean(str(v.get("name", v["id"]))) for v in lists["videos"]}
    images = _images_by_video(lists["images"], names, path)
    boxes = _boxes_by_track(lists["annotations"], {i["id"]: i for i in lists["images"]}, path)
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


def _parse(text: str, path: Path) -> dict[str, list[Entry]]:
    """The lists of a JSON text, by name; each entry has the keys that COCO requires."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from None
    lists = content if isinstance(content, dict) else {}
    for name in REQUIRED:
        entries = lists.get(name)
        if name == "videos" and not entries:
            raise ValueError(f"{path}: {NO_VIDEOS}")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ValueError(f"{path}: no list {name!r}; not an annotation file of COCO")
    for name, keys in REQUIRED.items():
        for number, entry in enumerate(lists[name]):
            for key in keys:
                if key not in entry:
                    raise ValueError(f"{path}: {name}[{number}] has no {key!r}")
    return lists


def _images_by_video(
    images: Iterable[Entry], names: dict[Any, str], path: Path
) -> dict[Any, list[Entry]]:
    by_video: dict[Any, list[Entry]] = {}
    for image in images:
        name, video = image["id"], image["video_id"]
        if video not in names:
            raise ValueError(f"{path}: image {name} is of video {video}, which is not in 'videos'")
        by_video.setdefault(video, []).append(image)
    for group in by_video.values():
        key = next((key for key in FRAME_KEYS if all(key in image for image in group)), None)
        group.sort(key=itemgetter(key) if key else lambda image: by_number(image["file_name"]))
    return by_video


def _boxes_by_track(
    annotations: Iterable[Entry], images: dict[Any, Entry], path: Path
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
        image, box = entry["image_id"], entry["bbox"]
        if image not in images:
            raise ValueError(f"{place} is of image {image}, which is not in 'images'")
        if not isinstance(box, list) or [isinstance(v, int | float) for v in box] != [True] * 4:
            raise ValueError(f"{place}: bbox is {box!r}; x, y, w, h are needed")
        track = boxes.setdefault((images[image]["video_id"], entry[key]), {})
        if image in track:
            raise ValueError(f"{place}: track {entry[key]} has two boxes in image {image}")
        track[image] = box
    if not boxes:
        raise ValueError(f"{path}: no objects in it")
    return boxes


def _clean(name: str) -> str:
    """Make a name that can be a file's."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "-"
