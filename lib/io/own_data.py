"""A user's own sequences: their names, boxes and frames.

Training (lib/train/dataset/own_video.py) and testing (lib/test/evaluation) share it. A root holds
one of

    sequences.csv        a header, then one sequence per line: name,frames,boxes  (from the root)
    annotations.json     COCO with videos and tracks (`coco_tracks.py`), and images/
    neither              <name>/groundtruth.txt with images beside it or in <name>/img,
                         <name>.mp4 (or another video) with <name>.txt

Boxes are one line `x,y,w,h` per frame: pixels from the top-left corner of the first pixel. A box of
NaN or without a size says that the target is not visible.
"""

import csv
import errno
import logging
import os
import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from lib.io.coco_file import find_images
from lib.io.coco_tracks import Track, read_tracks
from lib.io.load_text import load_boxes
from lib.io.store import LmdbStore, Store
from lib.io.video_file import VideoFile, is_video_name
from lib.utils.image import by_number, is_image_name

logger = logging.getLogger(__name__)

CSV_FILE = "sequences.csv"
CSV_COLUMNS = ("name", "frames", "boxes")
COCO_FILE = "annotations.json"
COCO_IMAGES = "images"
BOX_FILE = "groundtruth.txt"
IMAGE_FOLDER = "img"
NO_NAME = re.compile(r'[/\\:*?"<>|,\x00-\x1f]|^[. ]|[. ]$')  # what some system or --seq cannot have


class OwnSequence(NamedTuple):
    """Where a sequence is; nothing of it has been read."""

    name: str
    place: str  # folder of images or video, a path in the store
    boxes: str  # file of boxes, a path in the store
    origin: str = ""  # the list that names it and ": ", for messages; empty: its own files
    track: Track | None = None  # from COCO: boxes and images by name
    problem: str = ""  # why it cannot be used, if that is known from its list


def own_sequences(store: Store) -> dict[str, OwnSequence]:
    """List the sequences of a root, by name; none is no error.

    A bad entry, such as a name twice, is a sequence with a `problem`, which stops itself alone.

    Raises:
        ValueError: a list that cannot be read at all.
    """
    lists = own_lists(store)
    if len(lists) > 1:
        raise ValueError(f"{store.root} holds {' and '.join(lists)}; one of them is wanted")
    read = {CSV_FILE: _from_csv, COCO_FILE: _from_coco}[lists[0]] if lists else _from_files
    sequences: dict[str, OwnSequence] = {}
    for sequence in read(store):
        origin, name = sequence.origin or f"{store.root}: ", sequence.name
        if not sequence.problem and NO_NAME.search(name):
            refused = '/ \\ : * ? " < > | and commas cannot be in it, dots and spaces at its ends'
            sequence = sequence._replace(problem=f"{origin}sequence name {name!r}: {refused}")
        name = NO_NAME.sub("-", name)
        if name in sequences:
            places = f"{sequences[name].place} and {sequence.place}"
            sequence = sequence._replace(problem=f"{origin}the name {name!r} stands for {places}")
        sequences[name] = sequence._replace(name=name)
    return sequences


def own_lists(store: Store) -> list[str]:
    """Files in the root that list its sequences; without any, folders and videos do."""
    return [name for name in (CSV_FILE, COCO_FILE) if name in store.names("")]


def own_boxes(store: Store, sequence: OwnSequence) -> np.ndarray:
    """Read the boxes of a sequence, (T, 4) float64 xywh, pixels of the image, NaN where unknown.

    Raises as `load_boxes`, and ValueError for a sequence with a problem.
    """
    if sequence.problem:
        raise ValueError(sequence.problem)
    if sequence.track is not None:
        return sequence.track.boxes_xywh
    try:
        return load_boxes(sequence.boxes, store)
    except FileNotFoundError as error:
        text, path = f"{sequence.origin}no file of boxes", store.root / sequence.boxes
        raise FileNotFoundError(errno.ENOENT, text, str(path)) from error


def own_frames(store: Store, sequence: OwnSequence) -> list[str]:
    """Paths of a sequence's frames in the store, in order; a video's path once per frame.

    Raises:
        FileNotFoundError: folder or video is not there. VideoError: it cannot be read.
        ValueError: no images in a folder; images of a track are missing; a video in an LMDB file;
            the sequence has a problem.
    """
    if sequence.problem:
        raise ValueError(sequence.problem)
    if sequence.track is not None:
        return _track_frames(store, sequence, sequence.track)
    if is_video_name(sequence.place):
        return [sequence.place] * _count(store, sequence)
    inside = _names(store, sequence.place)
    if inside is None:
        place = store.root / sequence.place
        raise FileNotFoundError(f"{sequence.origin}no folder of images and no video {place}")
    folder = f"{sequence.place}/{IMAGE_FOLDER}" if IMAGE_FOLDER in inside else sequence.place
    names = sorted(filter(is_image_name, store.names(folder)), key=by_number)
    if not names:
        raise ValueError(f"{sequence.origin}no frames in {store.root / folder}")
    return [f"{folder}/{name}" for name in names]


def check_boxes(
    store: Store, sequence: OwnSequence, boxes: int, frames: int, *, first_is_enough: bool
) -> None:
    """Refuse a number of boxes that does not fit the frames; ValueError names both and places."""
    if boxes != frames and not (first_is_enough and boxes == 1):
        box_file, place = store.root / sequence.boxes, store.root / sequence.place
        needed = "one per frame" + ", or the first alone" * first_is_enough
        text = f"{boxes} boxes in {box_file}, but {frames} frames in {place}; needed: {needed}"
        raise ValueError(text)


def _from_files(store: Store) -> list[OwnSequence]:
    names = store.names("")
    if BOX_FILE in names:
        hint = "it is a sequence; name the folder above it"
        raise ValueError(f"{store.root} holds {BOX_FILE} itself: {hint}")
    sequences = []
    for name in names:
        if is_video_name(name):
            stem = str(PurePosixPath(name).with_suffix(""))
            sequences.append(OwnSequence(stem, name, f"{stem}.txt"))
        elif (inside := _names(store, name)) is not None:
            if {BOX_FILE, IMAGE_FOLDER} & set(inside) or any(map(is_image_name, inside)):
                sequences.append(OwnSequence(name, name, f"{name}/{BOX_FILE}"))
            else:
                logger.warning("%s: no frames and no %s: skipped", store.root / name, BOX_FILE)
    return sequences


def _from_csv(store: Store) -> list[OwnSequence]:
    path = store.root / CSV_FILE
    lines = store.read_text(CSV_FILE).split("\n")
    reader = csv.reader(lines)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        rows = [(reader.line_num, row) for row in reader if row]  # without blank lines
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from None
    if not set(CSV_COLUMNS) <= set(header):
        needed = f"a header with the columns {','.join(CSV_COLUMNS)} is needed"
        raise ValueError(f"{path}, line 1: {needed}; given: {','.join(header) or 'nothing'}")
    return [_from_row(store, header, row, f"{path}, line {number}: ") for number, row in rows]


def _from_row(store: Store, header: list[str], row: list[str], origin: str) -> OwnSequence:
    cells = dict(zip(header, (cell.strip() for cell in row), strict=False))
    problem = "" if len(row) == len(header) else f"{len(row)} cells, expected {len(header)}"
    for column in CSV_COLUMNS:
        if not problem and not cells[column]:
            problem = f"{column} is empty"
    if problem:
        name = cells.get("name") or re.sub(r".*, ", "", origin[:-2])  # "line 3"
        return OwnSequence(name, "", "", origin, problem=f"{origin}{problem}")
    frames, boxes = (_relative(store, cells[column]) for column in ("frames", "boxes"))
    return OwnSequence(cells["name"], frames, boxes, origin)


def _relative(store: Store, path: str) -> str:
    """A path of the CSV as the store takes it: from the root, with slashes."""
    if Path(path).is_absolute():
        path = os.path.relpath(path, store.root)
    return PurePosixPath(path.replace("\\", "/")).as_posix()


def _from_coco(store: Store) -> list[OwnSequence]:
    path = store.root / COCO_FILE
    tracks = read_tracks(store.read_text(COCO_FILE), path)
    folder = COCO_IMAGES if COCO_IMAGES in store.names("") else ""
    return [OwnSequence(n, folder, COCO_FILE, f"{path}: ", track) for n, track in tracks.items()]


def _track_frames(store: Store, sequence: OwnSequence, track: Track) -> list[str]:
    """Paths of a track's images, all of which must exist."""
    paths = find_images(store, sequence.place, track.files)
    missing = [file for file, path in paths.items() if path is None]
    if missing:
        first = f"the first is {store.root / sequence.place / missing[0]}"
        raise ValueError(f"{len(missing)} of {len(paths)} images are not there, {first}")
    return [path for path in (paths[file] for file in track.files) if path is not None]


def _names(store: Store, folder: str) -> list[str] | None:
    """Entries of a folder; None where there is no such folder."""
    try:
        return store.names(folder)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _count(store: Store, sequence: OwnSequence) -> int:
    if isinstance(store, LmdbStore):
        raise ValueError(f"{sequence.place}: videos cannot be read out of an LMDB file")
    path = store.root / sequence.place
    if not path.is_file():
        raise FileNotFoundError(f"{sequence.origin}no video {path}")
    return VideoFile(path).count
