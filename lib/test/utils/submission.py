"""Pack results for the TrackingNet and GOT-10k servers: validate everything, then write at once.

Raw results are only read. `submission_check.py` holds what the servers accept;
`transform_trackingnet.py` and `transform_got10k.py` are the programs.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lib.io.load_text import load_boxes, load_column
from lib.test.evaluation.results import OFFICIAL_FOLDERS, box_file, time_file
from lib.test.utils.submission_check import GOT10K, Layout, SubmissionError, check
from lib.utils.files import atomic_path

LOGGER = logging.getLogger(__name__)
ZIP_DATE = (2022, 1, 1, 0, 0, 0)  # fixed: the same results give the same bytes


def pack(layout: Layout, results: Path, frames: Mapping[str, int] | None) -> Path:
    """Write the archive of a run beside its results.

    Args:
        layout: TRACKINGNET or GOT10K of `submission_check.py`.
        results: `<results>/<tracker>/<config>`; the archive goes here.
        frames: the test set's sequences and their lengths, as `count_frames` gives them; None:
            its images are not here, the official counts decide.

    Returns:
        The archive, checked.

    Raises:
        FileNotFoundError: there is no result folder.
        SubmissionError: a sequence is missing or wrong; nothing is written, names every problem.
    """
    folders = [results / name for name in (layout.dataset, OFFICIAL_FOLDERS[layout.dataset])]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        raise FileNotFoundError(f"no {layout.title} results: no folder {folders[0]}")
    members = _read_members(layout, folder, frames or _official_names(layout, folder))
    archive = results / layout.archive
    with atomic_path(archive) as temporary:
        _write_zip(temporary, members)
        check(layout, temporary, frames)
    return archive


def count_frames(layout: Layout, root: Path) -> dict[str, int]:
    """Sequences of the test set on disk and their lengths; says so where it is not all there.

    Raises:
        FileNotFoundError: `root` lacks the folder of test images, or it is empty.
    """
    folder = Path(root) / layout.frames_folder
    sequences = sorted(path for path in folder.glob("*/") if path.is_dir())
    if not sequences:
        raise FileNotFoundError(f"no {layout.title} test images in {folder}")
    if len(sequences) != layout.sequences:
        LOGGER.warning(
            "%s holds %d sequences, the %s test set has %d: its server will refuse the archive",
            folder,
            len(sequences),
            layout.title,
            layout.sequences,
        )
    return {path.name: sum(1 for _ in path.glob("*.jpg")) for path in sequences}


def _official_names(layout: Layout, folder: Path) -> dict[str, None]:
    """Sequences to pack when the test set is not on disk, with unknown lengths."""
    LOGGER.warning("no %s test images here: lengths are checked in sum only", layout.title)
    if layout is GOT10K:
        return {f"GOT-10k_Test_{n:06d}": None for n in range(1, layout.sequences + 1)}
    names = sorted(path.stem for path in folder.glob("*.txt"))
    return {name: None for name in names if not name.endswith(("_time", "_box", "_score"))}


def _read_members(
    layout: Layout, folder: Path, frames: Mapping[str, int | None]
) -> dict[str, bytes]:
    """Contents of the archive by member name, when all results are right."""
    members: dict[str, bytes] = {}
    problems: list[str] = []
    for name, length in frames.items():
        try:
            boxes = _read_boxes(box_file(folder, name), length)
            members[layout.box_member.format(name=name)] = _box_bytes(boxes)
            if layout.time_member:
                times = _read_times(time_file(folder, name), len(boxes))
                members[layout.time_member.format(name=name)] = _time_bytes(times)
        except FileNotFoundError as error:
            problems.append(f"{name}: no file {error.filename}")
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise SubmissionError("\n".join(problems))
    return members


def _read_boxes(path: Path, length: int | None) -> np.ndarray:
    """Boxes (length, 4) that a server can read: finite, sizes not negative."""
    boxes = load_boxes(path)
    if length is not None and len(boxes) != length:
        raise ValueError(f"{path}: {len(boxes)} boxes for {length} frames")
    if not len(boxes):
        raise ValueError(f"{path}: no boxes")
    _refuse_line(path, ~np.isfinite(boxes).all(axis=1), "a number that is not finite")
    _refuse_line(path, (boxes[:, 2:] < 0).any(axis=1), "a negative size")
    return boxes


def _read_times(path: Path, length: int) -> np.ndarray:
    """Seconds (length,): finite, not negative."""
    times = load_column(path)
    if len(times) != length:
        raise ValueError(f"{path}: {len(times)} times for {length} boxes")
    _refuse_line(path, ~np.isfinite(times) | (times < 0), "a time that is negative or not finite")
    return times


def _refuse_line(path: Path, bad: np.ndarray, what: str) -> None:
    """Raise for the first bad row."""
    if bad.any():
        raise ValueError(f"{path}, line {int(np.argmax(bad)) + 1}: {what}")


def _box_bytes(boxes: np.ndarray) -> bytes:
    """Integer lines, cut toward zero like the published results."""
    rows = boxes.astype(np.int64).tolist()
    return "".join(f"{x},{y},{w},{h}\n" for x, y, w, h in rows).encode()


def _time_bytes(times: np.ndarray) -> bytes:
    """Seconds with six decimals, one a line."""
    return "".join(f"{time:f}\n" for time in times).encode()


def _write_zip(path: Path, members: Mapping[str, bytes]) -> None:
    """Files only, no folder entries."""
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, ZIP_DATE)
            info.external_attr = 0o644 << 16
            file.writestr(info, content, zipfile.ZIP_DEFLATED)
