"""The annotation of every benchmark that can be scored here, read without touching a frame.

`open_annotations` knows a test set's sequences and reads what the protocols need, from the data
set's own folder or from a copy of its text files; for LaSOT also from the official toolkit's
`annos/` and `absent/` folders. The tables are `sequences/*.csv` and `*.txt`.
"""

from __future__ import annotations

import configparser
import csv
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.io.load_text import load_boxes, load_column
from lib.io.own_data import OwnSequence, own_boxes, own_sequences
from lib.io.store import FolderStore

TABLES = Path(__file__).parent / "sequences"


class Truth(NamedTuple):
    """What scoring needs to know of one sequence of n frames."""

    name: str
    dataset: str  # e.g. "lasot"; the `otb` protocol treats invalid frames by data set
    boxes_xywh: np.ndarray  # (n, 4) annotation in pixels of the image, may hold NaN
    visible: np.ndarray | None = None  # (n,) bool; None: the benchmark has no such flags
    image_size: tuple[int, int] | None = None  # width, height in pixels; `got10k` needs it
    groups: tuple[str, ...] = ()  # attributes it belongs to, e.g. "class: car", "Fast Motion"


class Annotations(NamedTuple):
    """The sequences of a test set, in the order of its table, and how to read one of them."""

    dataset: str
    names: tuple[str, ...]
    read: Callable[[str], Truth]  # FileNotFoundError where the annotation is not there


def open_annotations(dataset: str, root: str | Path) -> Annotations:
    """Name the sequences of a test set; each is read when asked for.

    Args:
        dataset: a key of LAYOUTS.
        root: the data set's folder; images need not be there.

    Raises:
        ValueError: the data set is unknown here.
        FileNotFoundError: there is no folder `root`, or it lacks the list of sequences.
    """
    if dataset not in LAYOUTS:
        raise ValueError(f"no annotation of {dataset!r} to score with; of {', '.join(LAYOUTS)}")
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"no such folder: {root} (annotation of {dataset})")
    return LAYOUTS[dataset](dataset, root)


def read_names(table: str) -> tuple[str, ...]:
    """Names in a table of one name a line, such as `lasot_test.txt`."""
    return tuple((TABLES / table).read_text(encoding="utf-8").split())


def read_rows(table: str) -> dict[str, dict[str, str]]:
    """Rows by sequence name of a table with a header, such as `otb.csv`."""
    with open(TABLES / table, encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def _open_table_set(dataset: str, root: Path) -> Annotations:
    """OTB100, NfS30 and UAV123: one table row a sequence, no visibility flags."""
    rows = read_rows(f"{dataset}.csv")
    return Annotations(dataset, tuple(rows), partial(_read_table_sequence, dataset, root, rows))


def _read_table_sequence(
    dataset: str, root: Path, rows: dict[str, dict[str, str]], name: str
) -> Truth:
    """The rows of the annotation file from the first tracked frame on."""
    row = rows[name]
    path = root / row["annotation"]
    boxes = load_boxes(path)[int(row["init_omit"]) :]
    groups = (f"class: {row['class']}", *_attributes(path.parent / "att" / path.name, dataset))
    return Truth(name, dataset, boxes, groups=groups)


def _open_lasot(dataset: str, root: Path) -> Annotations:
    """LaSOT and its extension: their own layout, or the official toolkit's text files."""
    read = _read_toolkit_sequence if (root / "annos").is_dir() else _read_lasot_sequence
    names = read_names("lasot_test.txt" if dataset == "lasot" else "lasot_ext.txt")
    return Annotations(dataset, names, partial(read, dataset, root))


def _read_lasot_sequence(dataset: str, root: Path, name: str) -> Truth:
    """`<class>/<class>-<n>/groundtruth.txt` with occlusion and out-of-view flags beside it."""
    category = name.rsplit("-", 1)[0]
    folder = root / category / name
    boxes = load_boxes(folder / "groundtruth.txt")
    occluded = load_column(folder / "full_occlusion.txt")
    outside = load_column(folder / "out_of_view.txt")
    if not len(occluded) == len(outside) == len(boxes):
        raise ValueError(
            f"{folder}: {len(boxes)} boxes, {len(occluded)} flags in full_occlusion.txt, "
            f"{len(outside)} in out_of_view.txt"
        )
    visible = (occluded == 0) & (outside == 0)
    return Truth(name, dataset, boxes, visible, groups=(f"class: {category}",))


def _read_toolkit_sequence(dataset: str, root: Path, name: str) -> Truth:
    """`annos/<name>.txt` with `absent/<name>.txt` or `annos/absent/<name>.txt`."""
    boxes = load_boxes(root / "annos" / f"{name}.txt")
    folder = root / "absent" if (root / "absent").is_dir() else root / "annos" / "absent"
    visible = load_column(folder / f"{name}.txt") == 0
    category = name.rsplit("-", 1)[0]
    groups = (f"class: {category}", *_attributes(root / "att" / f"{name}.txt", "lasot"))
    return Truth(name, dataset, boxes, visible, groups=groups)


def _open_got10k(dataset: str, root: Path) -> Annotations:
    """GOT-10k validation and the demo clips: `val/list.txt` and a folder a sequence."""
    folder = root / "val"
    names = tuple((folder / "list.txt").read_text(encoding="utf-8").split())
    return Annotations(dataset, names, partial(_read_got10k_sequence, dataset, folder))


def _read_got10k_sequence(dataset: str, root: Path, name: str) -> Truth:
    """`groundtruth.txt`, `cover.label` (0: the target is not to be seen) and `meta_info.ini`."""
    folder = root / name
    boxes = load_boxes(folder / "groundtruth.txt")
    visible = load_column(folder / "cover.label") > 0
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string((folder / "meta_info.ini").read_text(encoding="utf-8"))
    meta = parser["METAINFO"] if parser.has_section("METAINFO") else {}
    size = re.findall(r"\d+", meta.get("resolution", ""))
    if len(size) != 2:
        raise ValueError(f"{folder / 'meta_info.ini'}: no 'resolution: (width, height)'")
    groups = (f"class: {meta['root_class']}",) if "root_class" in meta else ()
    return Truth(name, dataset, boxes, visible, (int(size[0]), int(size[1])), groups)


def _open_trackingnet(dataset: str, root: Path) -> Annotations:
    """TrackingNet's test set, for those who have its annotation: `TEST/anno/<id>.txt`."""
    folder = root / "TEST" / "anno"
    names = tuple(sorted(path.stem for path in folder.glob("*.txt")))
    if not names:
        raise FileNotFoundError(f"no annotation files in {folder}")
    return Annotations(dataset, names, partial(_read_trackingnet_sequence, dataset, folder))


def _read_trackingnet_sequence(dataset: str, folder: Path, name: str) -> Truth:
    """One box a frame; the public file holds the first alone."""
    path = folder / f"{name}.txt"
    boxes = load_boxes(path)
    if len(boxes) == 1:
        raise ValueError(
            f"{path} holds the first box only: TrackingNet is scored by its server "
            "(pack the results with lib/test/utils/transform_trackingnet.py)"
        )
    return Truth(name, dataset, boxes)


def _open_own(dataset: str, root: Path) -> Annotations:
    """Own data: what lib/io/own_data.py lists."""
    store = FolderStore(root)
    sequences = own_sequences(store)
    if not sequences:
        raise FileNotFoundError(f"no sequences in {root}")
    return Annotations(
        dataset, tuple(sequences), lambda name: _read_own(dataset, store, sequences[name])
    )


def _read_own(dataset: str, store: FolderStore, own: OwnSequence) -> Truth:
    """One box a frame; where only the first is known there is nothing to score against."""
    boxes = own_boxes(store, own)
    if len(boxes) == 1:
        raise ValueError(
            f"{store.root / own.boxes} holds the first box only: nothing to score against"
        )
    return Truth(own.name, dataset, boxes)


def _attributes(path: Path, table: str) -> tuple[str, ...]:
    """Attributes marked 1 in a sequence's file; none where the data set's copy has no file."""
    names_file = TABLES / f"{table}_attributes.txt"
    if not (path.is_file() and names_file.is_file()):
        return ()
    names = names_file.read_text(encoding="utf-8").splitlines()
    flags = load_column(path)
    if len(flags) != len(names):
        raise ValueError(f"{path}: {len(flags)} attributes, expected {len(names)}")
    return tuple(name for name, flag in zip(names, flags, strict=True) if flag)


LAYOUTS: dict[str, Callable[[str, Path], Annotations]] = {
    "otb": _open_table_set,
    "nfs": _open_table_set,
    "uav": _open_table_set,
    "lasot": _open_lasot,
    "lasot_ext": _open_lasot,
    "got10k_val": _open_got10k,
    "trackingnet": _open_trackingnet,
    "demo": _open_got10k,
    "own": _open_own,
}
