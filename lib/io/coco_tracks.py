"""Tracks of a COCO file with videos: one object through the images of one video.

    videos       {"id": 1, "name": "walk"}
    images       {"id": 7, "file_name": "walk/000007.jpg", "video_id": 1, "frame_id": 6}
    annotations  {"id": 3, "image_id": 7, "track_id": 2, "bbox": [x, y, w, h]}

`instance_id` and `frame_index` stand for `track_id` and `frame_id` as well; without a number of the
frame, images are in the order of the numbers in their names. Used by `own_data.py`; what all COCO
files share is in `coco_file.py`.
"""

import itertools
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.io.coco_file import (
    CocoError,
    CocoFile,
    CocoObject,
    Entry,
    Notes,
    read_coco,
    read_id,
    read_number,
    show,
)
from lib.utils.image import by_number

logger = logging.getLogger(__name__)

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

    What else is left out is logged. ValueError names `path`: no JSON, no videos or tracks in it.
    """
    coco = read_coco(text, path)
    if not coco.videos:
        raise ValueError(f"{path}: {NO_VIDEOS}")
    images, boxes = _images_by_video(coco), _boxes_by_track(coco)
    if not boxes:
        raise CocoError.without_objects(path, coco.notes)
    tracks: dict[str, Track] = {}
    for (video, track), by_image in boxes.items():
        first = next(n for n, image in enumerate(images[video]) if image in by_image)
        rest = images[video][first:]
        rows = [by_image.get(image, (np.nan,) * 4) for image in rest]
        wanted = f"{_clean(str(coco.videos[video].get('name', video)))}_{_clean(track)}"
        name = next(name for name in _numbered(wanted) if name not in tracks)
        if name != wanted:
            coco.notes.add("tracks with a name that another has too", f"{wanted}, now {name}")
        files = tuple(coco.images[image]["file_name"] for image in rest)
        tracks[name] = Track(files, np.array(rows, np.float64))
    for line in coco.notes.lines():
        logger.warning("%s: %s", path, line)
    return tracks


def _images_by_video(coco: CocoFile) -> dict[str, list[str]]:
    """Ids of each video's images, in order; an image without a video of the file is left out."""
    by_video: dict[str, list[str]] = {}
    for key, image in coco.images.items():
        video = read_id(image.get("video_id"))
        if video in coco.videos:
            by_video.setdefault(str(video), []).append(key)
        else:
            value = f"image {key}: {show(image.get('video_id'))}"
            coco.notes.add("images without a video_id that is in 'videos'", value)
    for group in by_video.values():
        entries = {key: coco.images[key] for key in group}
        numbers = _frame_numbers(entries)
        group.sort(key=lambda key: (numbers[key], by_number(entries[key]["file_name"])))
    return by_video


def _frame_numbers(images: dict[str, Entry]) -> dict[str, float]:
    """Number of each image's frame; 0 for all where one has none."""
    for name in FRAME_KEYS:
        numbers = {key: read_number(image.get(name)) for key, image in images.items()}
        if np.isfinite(list(numbers.values())).all():
            return numbers
    return dict.fromkeys(images, 0.0)


def _boxes_by_track(
    coco: CocoFile,
) -> dict[tuple[str, str], dict[str, tuple[float, float, float, float]]]:
    """Boxes by image id, of each video and track."""
    boxes: dict[tuple[str, str], dict[str, tuple[float, float, float, float]]] = {}
    for thing in coco.objects:
        video = read_id(coco.images[thing.image].get("video_id"))
        track = _track_id(thing, coco.notes)
        if track is None or video not in coco.videos:
            continue
        by_image = boxes.setdefault((str(video), track), {})
        if thing.image in by_image:
            text = "annotations of a track that has a box in that image already"
            coco.notes.add(text, f"{thing.place}: track {track}, image {thing.image}")
            continue
        by_image[thing.image] = thing.box_xywh
    return boxes


def _track_id(thing: CocoObject, notes: Notes) -> str | None:
    key = next((key for key in TRACK_KEYS if key in thing.entry), TRACK_KEYS[0])
    track = read_id(thing.entry.get(key))
    if track is None:
        value = show(thing.entry.get(key))
        notes.add("annotations without a usable track_id", f"{thing.place}.{key}: {value}")
    return track


def _numbered(name: str) -> Iterator[str]:
    """The name itself, then with numbers from 2."""
    yield name
    yield from (f"{name}-{number}" for number in itertools.count(2))


def _clean(name: str) -> str:
    """Make a name that can be a file's."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "-"
