"""One reading of COCO's JSON, whatever wrote it: images, the objects in them, perhaps videos.

    images       {"id": 7, "file_name": "walk/000007.jpg"}
    annotations  {"id": 3, "image_id": 7, "bbox": [x, y, w, h]}
    videos       {"id": 1, "name": "walk"}            # where there are tracks, see coco_tracks.py

An id is a whole number or a text. An annotation without a box is no object, one without `iscrowd`
no crowd. An entry that cannot be used is left out; notes count and name such entries by their
place, `annotations[17].image_id`. Neighbours: `coco_tracks.py` and lib/train/dataset/coco_seq.py.
"""

import json
import math
import os
import posixpath
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from lib.io.store import Store
from lib.utils.messages import one_line

Entry = dict[str, Any]  # with COCO's keys
MAX_SHOWN = 60  # characters of a value in a note


class CocoError(ValueError):
    """A file that is no annotation file of COCO, or without an object; names the file."""

    @classmethod
    def without_objects(cls, path: Path, notes: "Notes") -> "CocoError":
        return cls("; ".join([f"no objects in {path}", *notes.lines()]))


class CocoObject(NamedTuple):
    """An annotation with a box that is no crowd."""

    image: str  # id
    box_xywh: tuple[float, float, float, float]  # pixels of the image; may be NaN
    entry: Entry
    place: str  # "annotations[17]"


class CocoFile(NamedTuple):
    """What can be used of a file."""

    images: dict[str, Entry]  # by id, each with a text `file_name`
    objects: list[CocoObject]  # each of one of the images
    videos: dict[str, Entry]  # by id
    notes: "Notes"


class Notes:
    """What was left out, counted by kind."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, kind: str, first: str, count: int = 1) -> None:
        """Count more of a kind, "annotations without a box"; the first one is shown."""
        self._counts[kind] += count
        self._first.setdefault(kind, first)

    def lines(self) -> list[str]:
        """One line for each kind."""
        counts = self._counts.items()
        return [f"{count} {kind}, the first is {self._first[kind]}" for kind, count in counts]


def read_coco(text: str, path: Path) -> CocoFile:
    """Parse a JSON text; CocoError where it is not one of COCO. `path` is for messages."""
    lists, notes = _parse(text, path), Notes()
    images = _by_id("images", lists["images"], _named_file, notes)
    videos = _by_id("videos", lists["videos"], lambda place, video: None, notes)
    return CocoFile(images, _objects(lists["annotations"], images, notes), videos, notes)


def read_id(value: object) -> str | None:
    """An id as text: "7" for 7, 7.0 and "7"; None for what is neither a number nor a text."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return str(value).strip() or None


def object_ids(coco: CocoFile) -> list[str]:
    """A different id for each object: its own or, where two share one, its place among all."""
    ids = [read_id(thing.entry.get("id")) for thing in coco.objects]
    name, count = Counter(ids).most_common(1)[0]
    if count == 1 and None not in ids:
        return [str(key) for key in ids]
    if name is not None or len(set(ids)) > 1:
        text = "annotations with an id that another has too, or none; all are numbered instead"
        coco.notes.add(text, f"{name}, of {count}", len(ids) - len(set(ids)) + 1)
    return [str(number) for number in range(len(ids))]


def find_images(store: Store, folder: str, files: Iterable[str]) -> dict[str, str | None]:
    """Paths in the store of images that a file names; None for those that are not there.

    Names are relative to `folder` or to a folder above it, up to the root, or absolute; with
    slashes or backslashes.
    """
    bases = [folder, *(str(parent) for parent in Path(folder).parents)] if folder else [""]
    inside: dict[str, set[str]] = {}

    def exists(path: str) -> bool:
        parent, name = posixpath.split(path)
        if parent not in inside:
            try:
                inside[parent] = set(store.names(parent))
            except (OSError, ValueError):  # no such folder, or no name of one
                inside[parent] = set()
        return name in inside[parent]

    found = {}
    for file in files:
        name = file.replace("\\", "/")
        if os.path.isabs(name):
            name = Path(os.path.relpath(name, store.root.absolute())).as_posix()
        paths = [posixpath.normpath(posixpath.join(base, name)) for base in bases]
        inner = (path for path in paths if path.split("/")[0] != "..")
        found[file] = next(filter(exists, inner), None)
    return found


def _parse(text: str, path: Path) -> dict[str, list[Any]]:
    """The lists of a JSON text, by name."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CocoError(f"{path}: not an annotation file of COCO: not JSON ({error})") from None
    lists = content if isinstance(content, dict) else {}
    lists["videos"] = lists.get("videos") or []
    for name in ("images", "annotations", "videos"):
        if not isinstance(lists.get(name), list):
            raise CocoError(f"{path}: not an annotation file of COCO: no list {name!r}")
    return lists


def _by_id(
    name: str, entries: list[Any], problem: Callable[[str, Entry], str | None], notes: Notes
) -> dict[str, Entry]:
    """Entries of a list by their id; without those that share one: nobody knows which is meant."""
    by_id: dict[str, Entry] = {}
    shared = set()
    for number, entry in enumerate(entries):
        place = f"{name}[{number}]"
        if not isinstance(entry, dict):
            notes.add(f"{name} that are no entries", f"{place}: {show(entry)}")
        elif (key := read_id(entry.get("id"))) is None:
            notes.add(f"{name} without a usable id", f"{place}.id: {show(entry.get('id'))}")
        elif (why := problem(place, entry)) is not None:
            notes.add(f"{name} without a usable file_name", why)
        elif key in by_id and by_id[key] != entry:
            notes.add(f"{name} with an id that another has too", f"{place}.id: {show(entry['id'])}")
            shared.add(key)
        else:
            by_id[key] = entry
    return {key: entry for key, entry in by_id.items() if key not in shared}


def _named_file(place: str, image: Entry) -> str | None:
    name = image.get("file_name")
    usable = isinstance(name, str) and name.strip()
    return None if usable else f"{place}.file_name: {show(name)}"


def _objects(entries: list[Any], images: dict[str, Entry], notes: Notes) -> list[CocoObject]:
    """Annotations that are no crowds, with a box in one of the images."""
    objects = []
    for number, entry in enumerate(entries):
        place = f"annotations[{number}]"
        if not isinstance(entry, dict):
            notes.add("annotations that are no entries", f"{place}: {show(entry)}")
            continue
        image, box = read_id(entry.get("image_id")), entry.get("bbox")
        if entry.get("iscrowd", 0) not in (0, "0", None):
            continue
        if box is None or box == []:
            notes.add("annotations without a box", place)
        elif image is None:
            value = show(entry.get("image_id"))
            notes.add("annotations without a usable image_id", f"{place}.image_id: {value}")
        elif image not in images:
            value = show(entry["image_id"])
            notes.add("annotations of an image that is not in 'images'", f"{place}: {value}")
        elif (xywh := _read_box(box)) is None:
            text = "annotations whose bbox is not x, y, w, h"
            notes.add(text, f"{place}.bbox: {show(box)}")
        else:
            objects.append(CocoObject(image, xywh, entry, place))
    return objects


def _read_box(value: object) -> tuple[float, float, float, float] | None:
    """Four numbers; None for anything else."""
    if not isinstance(value, list) or len(value) != 4:
        return None
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in value):
        return None
    try:
        x, y, w, h = (float(v) for v in value)
    except OverflowError:
        return None
    return x, y, w, h


def show(value: object) -> str:
    """A value of the file as a note has it, cut to a bounded length."""
    return one_line(json.dumps(value), MAX_SHOWN)


def read_number(value: object) -> float:
    """A finite number or a text that is one; NaN for anything else."""
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    return number if math.isfinite(number) else math.nan
