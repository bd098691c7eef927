"""Results on disk: the only place that knows their paths and formats.

Source: the result files' formats in protocols. Under <results>/<tracker>/<config>/<data set>/ a
sequence has:

    <sequence>.txt        x,y,w,h per frame, integers cut toward zero: what the field exchanges
    <sequence>_box.txt    the same boxes as floats
    <sequence>_score.txt  predicted IoU in [0, 1], one per frame
    <sequence>_time.txt   seconds, one per frame
    <sequence>_run.json   provenance and digests of the four; written last

The files of a sequence called `walk_box` lie in a folder of that name, for `walk_box.txt` is one of
the files of `walk`.

A sequence counts as finished only if its _run.json has the run's provenance and the digests of the
files beside it, so files of two runs mixed together, or cut short, never count.
"""

import glob
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lib.utils.files import atomic_write_text, locked_folder, read_regular, remove_left_overs

Provenance = dict[str, Any]

SUFFIXES = (".txt", "_box.txt", "_score.txt", "_time.txt")  # without them no result counts
APART = ("_box", "_score", "_time")  # how sequences end that have a folder of their own
DAMAGED = (OSError, ValueError, KeyError, TypeError, RecursionError)  # of reading a record

# The official results have no folder for a test set whose files name it (otb_*, airplane-1, ...).
OFFICIAL_FOLDERS = {"trackingnet": "trackingnet", "got10k_val": "got10k", "got10k_test": "got10k"}


class SequenceResult(NamedTuple):
    """Boxes and scores of one sequence of n frames."""

    boxes_xywh: np.ndarray  # (n, 4) float64 image pixels; row 0 is the initial box
    scores: np.ndarray  # (n,) predicted IoU in [0, 1]
    seconds: np.ndarray  # (n,) time the tracker took for each frame, reading left out


class ResultFolder:
    """The results of one tracker, recipe and test set."""

    def __init__(self, root: Path, tracker: str, config: str, dataset: str) -> None:
        self.path = root / tracker / config / dataset  # made when something is saved

    def save(self, name: str, result: SequenceResult, provenance: Provenance) -> None:
        """Write a sequence's files, all of one run; the one that makes it count comes last."""
        texts = _texts(name, result)
        run = {
            "sequence": name,
            "frames": len(result.boxes_xywh),
            "provenance": provenance,
            "sha256": {file: _sha256(text.encode()) for file, text in texts.items()},
        }
        texts[f"{name}_run.json"] = json.dumps(run, indent=1) + "\n"
        with locked_folder(self.path):  # two runs that save the same sequence take turns
            home = _home(self.path, name)
            home.mkdir(exist_ok=True)
            remove_left_overs(home, map(glob.escape, texts))
            for file, text in texts.items():
                atomic_write_text(home / file, text)

    def is_finished(self, name: str, frames: int, provenance: Provenance) -> bool:
        """True if all files of a sequence are whole and of this provenance."""
        if not self.path.is_dir():
            return False
        try:
            with locked_folder(self.path):
                home = _home(self.path, name)
                run = json.loads(read_regular(home / f"{name}_run.json"))
                files = [f"{name}{suffix}" for suffix in SUFFIXES]
                digests = {file: _sha256(read_regular(home / file)) for file in files}
                found = run["frames"], run["provenance"], run["sha256"]
                return found == (frames, provenance, digests)
        except DAMAGED:
            return False


def find_results(base: Path, dataset: str, names: Iterable[str]) -> Path | None:
    """First folder with a box file of a test set, in our layout or that of the official results.

    One folder is taken for the whole set, so that two layouts are never mixed.

    Args:
        base: the folder of one tracker and recipe.
        names: the sequences of the test set.
    """
    names = tuple(names)
    for folder in (base / dataset, base / OFFICIAL_FOLDERS.get(dataset, "."), base):
        if any(box_file(folder, name).is_file() for name in names):
            return folder
    return None


def box_file(folder: Path, name: str) -> Path:
    """The file of a sequence that the field exchanges."""
    path = _home(folder, name) / f"{name}.txt"
    flat = folder / path.name  # where other trackers have it
    is_anothers = (folder / f"{name.rpartition('_')[0]}_run.json").exists()
    return path if path == flat or path.is_file() or is_anothers else flat


def time_file(folder: Path, name: str) -> Path:
    """The file of a sequence's seconds, one per frame."""
    return box_file(folder, name).with_name(f"{name}_time.txt")


def score_file(folder: Path, name: str) -> Path:
    """Predicted IoU of a sequence, one per frame; results of other trackers have none."""
    return box_file(folder, name).with_name(f"{name}_score.txt")


def verified(path: Path, name: str) -> Path:
    """Return a sequence's file if it is as the run wrote it, or has no _run.json to tell.

    Raises:
        OSError: there is none, or no regular file.
        ValueError: its digest or the record is wrong.
    """
    content, record = read_regular(path), path.with_name(f"{name}_run.json")
    if not record.exists():
        return path
    remedy = "track the sequence again, or remove the record to take the file as it is"
    try:
        digest = json.loads(read_regular(record))["sha256"][path.name]
    except DAMAGED as error:
        text = f"{path}: its record {record.name} cannot be read ({error!r}); {remedy}"
        raise ValueError(text) from None
    if digest != _sha256(content):
        raise ValueError(f"{path}: changed since it was written, says {record.name}; {remedy}")
    return path


def _home(folder: Path, name: str) -> Path:
    """The folder that a sequence's files are written to."""
    return folder / name if name.endswith(APART) else folder


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _texts(name: str, result: SequenceResult) -> dict[str, str]:
    lines_of_files = (
        [",".join(str(int(v)) for v in box) for box in result.boxes_xywh],
        [",".join(f"{v:.4f}" for v in box) for box in result.boxes_xywh],
        [f"{v:.6f}" for v in result.scores],
        [f"{v:f}" for v in result.seconds],
    )
    files = zip(SUFFIXES, lines_of_files, strict=True)
    return {f"{name}{suffix}": "\n".join([*lines, ""]) for suffix, lines in files}
