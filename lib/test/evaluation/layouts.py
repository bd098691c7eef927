"""How every test set lies on disk: its sequences, and the frames and annotation of each.

Source: docs/method.md, section 7. The tables in sequences/ say what belongs to a set.
"""

import configparser
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lib.io.listing import list_folder, read_text, split_lines
from lib.io.load_text import load_column
from lib.io.own_data import check_boxes, own_boxes, own_frames, own_sequences
from lib.io.store import FolderStore
from lib.io.video_file import Frame, is_video_name, video_frames
from lib.test.evaluation.base_set import (
    TABLES,
    TestSet,
    category_of,
    list_frames_folder,
    read_names,
    read_rows,
)
from lib.test.evaluation.data import Sequence
from lib.utils.box_ops import has_area


class TableSet(TestSet):
    """OTB100, NfS30 and UAV123: a row of the table names the frames and the annotation file."""

    def __init__(self, dataset: str, root: Path) -> None:
        self._rows = read_rows(f"{dataset}.csv")
        super().__init__(dataset, root, self._rows)

    def folder(self, name: str) -> Path:
        return self.root / self._rows[name]["frames"]

    def box_file(self, name: str) -> Path:
        return self.root / self._rows[name]["annotation"]

    def frames(self, name: str) -> tuple[Frame, ...]:
        row, folder = self._rows[name], self.folder(name)
        numbers = range(int(row["start"]) + int(row["init_omit"]), int(row["end"]) + 1)
        files = [f"{number:0{row['digits']}d}.{row['ext']}" for number in numbers]
        existing = set(list_frames_folder(folder))
        if missing := [file for file in files if file not in existing]:
            count = f"{len(missing)} of {len(files)}"
            raise ValueError(f"frame {folder / missing[0]} is missing ({count})")
        return tuple(folder / file for file in files)

    def boxes(self, name: str) -> np.ndarray:
        return super().boxes(name)[int(self._rows[name]["init_omit"]) :]

    def extras(self, name: str, count: int) -> dict[str, Any]:
        path = self.box_file(name)
        attributes = _attributes(path.parent / "att" / path.name, self.dataset)
        return {"groups": (f"class: {self._rows[name]['class']}", *attributes)}


class LaSOT(TestSet):
    """LaSOT and its extension in their own layout, or the official toolkit's text files."""

    images = "{category}/{name}/img"

    def __init__(self, dataset: str, root: Path) -> None:
        table = "lasot_test.txt" if dataset == "lasot" else "lasot_ext.txt"
        super().__init__(dataset, root, read_names(table))
        self._is_toolkit = (root / "annos").is_dir()
        own = "{category}/{name}/groundtruth.txt"
        self.annotation = "annos/{name}.txt" if self._is_toolkit else own

    def extras(self, name: str, count: int) -> dict[str, Any]:
        path, group = self.box_file(name), f"class: {category_of(name)}"
        if self._is_toolkit:
            absent = self.root / "absent"
            absent = absent if absent.is_dir() else path.parent / "absent"
            groups = (group, *_attributes(self.root / "att" / path.name, "lasot"))
            return {"visible": load_column(absent / path.name) == 0, "groups": groups}
        files = ("full_occlusion.txt", "out_of_view.txt")
        occluded, outside = (load_column(path.with_name(file)) for file in files)
        if not len(occluded) == len(outside) == count:
            flags = f"{len(occluded)} flags in {files[0]}, {len(outside)} in {files[1]}"
            raise ValueError(f"{path.parent}: {count} boxes, {flags}")
        return {"visible": (occluded == 0) & (outside == 0), "groups": (group,)}


class GOT10k(TestSet):
    """GOT-10k and the demo clips: `<split>/list.txt` and one folder per sequence."""

    def __init__(self, dataset: str, root: Path) -> None:
        folder = root / ("test" if dataset == "got10k_test" else "val")
        super().__init__(dataset, folder, split_lines(read_text(folder / "list.txt")))

    def extras(self, name: str, count: int) -> dict[str, Any]:
        """From `cover.label` (0: the target is not to be seen) and `meta_info.ini`."""
        path = self.root / name / "meta_info.ini"
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string(read_text(path))
        except configparser.Error as error:
            raise ValueError(f"{path}: {' '.join(str(error).split())}") from error
        meta = dict(parser["METAINFO"]) if parser.has_section("METAINFO") else {}
        size = tuple(map(int, re.findall(r"\d+", meta.get("resolution", ""))))
        if len(size) != 2 or 0 in size:
            raise ValueError(f"{path}: no 'resolution: (width, height)'")
        visible = load_column(path.with_name("cover.label")) > 0
        groups = (f"class: {meta['root_class']}",) if "root_class" in meta else ()
        return {"visible": visible, "image_size": size, "groups": groups}


class TrackingNet(TestSet):
    """TrackingNet's test set; its public annotation is the first box."""

    images = "TEST/frames/{name}"
    annotation = "TEST/anno/{name}.txt"
    unscorable = "TrackingNet is scored by its server; see lib/test/utils/transform_trackingnet.py"

    def __init__(self, dataset: str, root: Path) -> None:
        folder = root / "TEST" / "anno"
        files = list_folder(folder) if folder.is_dir() else []
        super().__init__(dataset, root, (name[:-4] for name in files if name.endswith(".txt")))


class OwnData(TestSet):
    """What lib/io/own_data.py lists: images or videos, with all boxes or the first."""

    def __init__(self, dataset: str, root: Path) -> None:
        self._store = FolderStore(root)
        self._sequences = own_sequences(self._store)
        super().__init__(dataset, root, self._sequences)

    def box_file(self, name: str) -> Path:
        return self.root / self._sequences[name].boxes

    def frames(self, name: str) -> tuple[Frame, ...]:
        own = self._sequences[name]
        paths = own_frames(self._store, own)
        if is_video_name(own.place):
            return video_frames(self.root / own.place)
        return tuple(self.root / path for path in paths)

    def boxes(self, name: str) -> np.ndarray:
        return own_boxes(self._store, self._sequences[name])

    def check(self, sequence: Sequence) -> None:
        own, first = self._sequences[sequence.name], sequence.boxes_xywh[:1]
        counts = len(sequence.boxes_xywh), len(sequence.frames)
        check_boxes(self._store, own, *counts, first_is_enough=True)
        if not has_area(first).all():
            text = ", ".join(f"{value:g}" for value in first[0])
            raise ValueError(
                f"the first box is {text}; tracking starts from it: it needs a width and a height"
            )


LAYOUTS: dict[str, Callable[[str, Path], TestSet]] = {
    **dict.fromkeys(("otb", "nfs", "uav"), TableSet),
    **dict.fromkeys(("lasot", "lasot_ext"), LaSOT),
    "trackingnet": TrackingNet,
    **dict.fromkeys(("got10k_test", "got10k_val", "demo"), GOT10k),
    "own": OwnData,
}


def _attributes(path: Path, table: str) -> tuple[str, ...]:
    """Attributes marked 1 in a sequence's file; none where the data set's copy has no file."""
    names_file = TABLES / f"{table}_attributes.txt"
    if not (path.is_file() and names_file.is_file()):
        return ()
    names = split_lines(read_text(names_file))
    flags = load_column(path)
    if len(flags) != len(names):
        raise ValueError(f"{path}: {len(flags)} attributes, expected {len(names)}")
    return tuple(name for name, flag in zip(names, flags, strict=True) if flag)
