"""The test sets by name: their sequences, with frames found on disk.

Source: spec section 7. The tables in sequences/ say what belongs to a set; each layout has one
function here that lists the frames of a sequence. Reading boxes is annotations.py's work.
"""

import logging
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.io.load_text import load_boxes
from lib.io.own_data import OwnSequence, check_boxes, own_boxes, own_frames, own_sequences
from lib.io.store import FolderStore
from lib.io.video_file import is_video_name, video_frames
from lib.test.evaluation.annotations import read_names, read_rows
from lib.test.evaluation.data import Sequence, SequenceError
from lib.test.evaluation.environment import dataset_path
from lib.utils.image import by_number, is_image_name

logger = logging.getLogger(__name__)


class TestSet(NamedTuple):
    """A test set: names in the order of its table, and how to load one of them."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    dataset: str
    names: tuple[str, ...]
    load: Callable[[str], Sequence]  # raises SequenceError or FileNotFoundError


def open_dataset(dataset: str, root: Path | None = None) -> TestSet:
    """Open a test set; no sequence is touched yet.

    Args:
        dataset: a key of LAYOUTS.
        root: its folder; None: where the settings say.

    Raises:
        ValueError: unknown name, or a list of sequences that cannot be read.
        FileNotFoundError: its folder or its list is not there; the message says which setting gave
            the path.
    """
    if dataset not in LAYOUTS:
        raise ValueError(f"unknown test set {dataset!r}; there are: {', '.join(LAYOUTS)}")
    root = root or dataset_path(dataset).require(f"test set {dataset}")
    found = LAYOUTS[dataset](root, dataset)
    if not found.names:
        raise FileNotFoundError(f"test set {dataset}: no sequence in {root}")
    return found._replace(load=lambda name: _checked(found.load(name)))


def select_names(test_set: TestSet, wanted: str | None) -> tuple[str, ...]:
    """Choose sequences by name, with or without the set's prefix ("Crossing", "otb_Crossing").

    Args:
        wanted: one name, several separated by commas, an index from 0, or None for all.

    Raises:
        ValueError: no such sequence; the message lists similar names.
    """
    if wanted is None:
        return test_set.names
    chosen = []
    for name in wanted.split(","):
        name = name.strip()
        matches = [n for n in test_set.names if name in (n, n.removeprefix(f"{test_set.dataset}_"))]
        if not matches and name.isdigit() and int(name) < len(test_set.names):
            matches = [test_set.names[int(name)]]
        if not matches:
            similar = [n for n in test_set.names if name[:3].lower() in n.lower()][:8]
            raise ValueError(
                f"test set {test_set.dataset} has no sequence {name!r} among its "
                f"{len(test_set.names)}; similar: {', '.join(similar) or 'none'}"
            )
        chosen += matches
    return tuple(dict.fromkeys(chosen))


def _checked(sequence: Sequence) -> Sequence:
    """Return a sequence whose frames and boxes can belong together."""
    frames, boxes = len(sequence.frames), len(sequence.boxes_xywh)
    if not frames:
        raise SequenceError(f"{sequence.name}: the sequence is empty, there is no frame")
    if not boxes:
        raise SequenceError(f"{sequence.name}: the annotation is empty, there is no first box")
    if boxes > frames:
        raise SequenceError(f"{sequence.name}: more boxes ({boxes}) than frames ({frames})")
    if 1 < boxes < frames:
        logger.warning("%s: %d boxes for %d frames", sequence.name, boxes, frames)
    return sequence


def _numbered(name: str, folder: Path, pattern: str, numbers: Iterable[int]) -> tuple[Path, ...]:
    """Paths of numbered frames, all of which must be there."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{name}: no folder of frames {folder}")
    there = {path.name for path in folder.iterdir()}
    wanted = [pattern % number for number in numbers]
    missing = [file for file in wanted if file not in there]
    if missing:
        raise SequenceError(
            f"{name}: frame {folder / missing[0]} is missing ({len(missing)} of {len(wanted)})"
        )
    return tuple(folder / file for file in wanted)


def _listed(folder: Path) -> tuple[Path, ...]:
    """All images of a folder, by the numbers in their names."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder of frames {folder}")
    names = filter(is_image_name, os.listdir(folder))
    return tuple(folder / name for name in sorted(names, key=by_number))


def _table_names(root: Path, dataset: str) -> Iterable[str]:
    return read_rows(f"{dataset}.csv")


def _load_table(root: Path, dataset: str, name: str) -> Sequence:
    """OTB100, NfS30, UAV123: a row of the table says which frames."""
    row = read_rows(f"{dataset}.csv")[name]
    omitted = int(row["init_omit"])
    boxes = load_boxes(root / row["annotation"])[omitted:]
    pattern = f"%0{row['digits']}d.{row['ext']}"
    numbers = range(int(row["start"]) + omitted, int(row["end"]) + 1)
    return Sequence(name, dataset, _numbered(name, root / row["frames"], pattern, numbers), boxes)


def _lasot_names(root: Path, dataset: str) -> Iterable[str]:
    return read_names("lasot_test.txt" if dataset == "lasot" else "lasot_ext.txt")


def _load_lasot(root: Path, dataset: str, name: str) -> Sequence:
    folder = root / name.rsplit("-", 1)[0] / name
    boxes = load_boxes(folder / "groundtruth.txt")
    return Sequence(name, dataset, _listed(folder / "img"), boxes)


def _trackingnet_names(root: Path, dataset: str) -> Iterable[str]:
    return sorted(path.stem for path in (root / "TEST" / "anno").glob("*.txt"))


def _load_trackingnet(root: Path, dataset: str, name: str) -> Sequence:
    frames = _listed(root / "TEST" / "frames" / name)
    return Sequence(name, dataset, frames, load_boxes(root / "TEST" / "anno" / f"{name}.txt"))


def _got10k_folder(root: Path, dataset: str) -> Path:
    """The split's folder; the demo clips lie as GOT-10k does."""
    return root / ("val" if dataset == "demo" else dataset.removeprefix("got10k_"))


def _got10k_names(root: Path, dataset: str) -> Iterable[str]:
    return (_got10k_folder(root, dataset) / "list.txt").read_text().split()


def _load_got10k(root: Path, dataset: str, name: str) -> Sequence:
    folder = _got10k_folder(root, dataset) / name
    return Sequence(name, dataset, _listed(folder), load_boxes(folder / "groundtruth.txt"))


def _open_own(root: Path, dataset: str) -> TestSet:
    """Own data: what lib/io/own_data.py lists."""
    store = FolderStore(root)
    sequences = own_sequences(store)
    return TestSet(
        dataset, tuple(sequences), lambda name: _load_own(store, dataset, sequences[name])
    )


def _load_own(store: FolderStore, dataset: str, own: OwnSequence) -> Sequence:
    """Own data: images or a video, and boxes of all frames or the first."""
    try:
        boxes, paths = own_boxes(store, own), own_frames(store, own)
        check_boxes(store, own, len(boxes), len(paths), first_is_enough=True)
        _check_first(boxes[0])
    except ValueError as error:
        raise SequenceError(f"{own.name}: {error}") from error
    if is_video_name(own.place):
        return Sequence(own.name, dataset, video_frames(store.root / own.place), boxes)
    return Sequence(own.name, dataset, tuple(store.root / path for path in paths), boxes)


def _check_first(box_xywh: np.ndarray) -> None:
    """Refuse a box that tracking cannot start from."""
    if not (np.isfinite(box_xywh).all() and (box_xywh[2:] > 0).all()):
        numbers = ", ".join(f"{value:g}" for value in box_xywh)
        raise ValueError(
            f"the first box is {numbers}; tracking starts from it, so it needs a width and a height"
        )


def _listing(
    list_names: Callable[[Path, str], Iterable[str]], load: Callable[[Path, str, str], Sequence]
) -> Callable[[Path, str], TestSet]:
    """A layout whose sequences are found one by one."""
    return lambda root, dataset: TestSet(
        dataset, tuple(list_names(root, dataset)), partial(load, root, dataset)
    )


LAYOUTS: dict[str, Callable[[Path, str], TestSet]] = {
    "otb": _listing(_table_names, _load_table),
    "nfs": _listing(_table_names, _load_table),
    "uav": _listing(_table_names, _load_table),
    "lasot": _listing(_lasot_names, _load_lasot),
    "lasot_ext": _listing(_lasot_names, _load_lasot),
    "trackingnet": _listing(_trackingnet_names, _load_trackingnet),
    "got10k_test": _listing(_got10k_names, _load_got10k),
    "got10k_val": _listing(_got10k_names, _load_got10k),
    "demo": _listing(_got10k_names, _load_got10k),
    "own": _open_own,
}
