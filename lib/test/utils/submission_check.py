"""What the TrackingNet and GOT-10k servers accept, and the check of an archive against it.

`submission.py` packs results and uses this check on what it wrote.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

BOX_LINE = re.compile(rb"-?\d+,-?\d+,\d+,\d+")  # integers, sizes not negative
TIME_LINE = re.compile(rb"\d+\.\d{6}")  # seconds


class SubmissionError(ValueError):
    """Results or an archive that the server would not take; one line for each problem."""


class Layout(NamedTuple):
    """What one server expects."""

    title: str
    archive: str  # file name
    dataset: str  # the test set's name in the project
    sequences: int  # in the official test set
    boxes: int | None  # in the official test set, where it is published
    box_member: str  # name in the archive, `{name}` being the sequence
    time_member: str | None  # None: the server takes no times
    frames_folder: str  # where the data set keeps a folder of images for each sequence


TRACKINGNET = Layout(
    "TrackingNet",
    "trackingnet_submit.zip",
    "trackingnet",
    511,
    None,
    "{name}.txt",
    None,
    "TEST/frames",
)
GOT10K = Layout(
    "GOT-10k",
    "got10k_submit.zip",
    "got10k_test",
    180,
    22834,
    "{name}/{name}_001.txt",
    "{name}/{name}_time.txt",
    "test",
)


def check(layout: Layout, archive: Path, frames: Mapping[str, int] | None = None) -> int:
    """Validate an archive: its members' names, every line of every file, lengths.

    Args:
        layout: TRACKINGNET or GOT10K.
        archive: a zip file.
        frames: the test set's sequences and their lengths; None: the official counts decide.

    Returns:
        The number of boxes.

    Raises:
        FileNotFoundError: there is no such file.
        SubmissionError: names every problem.
    """
    problems: list[str] = []
    members = _read_zip(archive, problems)
    lengths = _check_boxes(layout, members, problems)
    _check_times(layout, members, lengths, problems)
    problems += [f"{name}: does not belong there" for name in members]
    _check_counts(layout, lengths, frames, problems)
    if problems:
        raise SubmissionError("\n".join(problems))
    return sum(lengths.values())


def _read_zip(archive: Path, problems: list[str]) -> dict[str, bytes]:
    """Contents by member name; folder entries are left out, a name found twice is a problem."""
    members: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                if info.filename in members:
                    problems.append(f"{info.filename}: twice in the archive")
                if not info.is_dir():
                    members[info.filename] = file.read(info)  # verifies the checksum
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise SubmissionError(f"not a whole, readable zip file ({error})") from None
    return members


def _check_boxes(layout: Layout, members: dict[str, bytes], problems: list[str]) -> dict[str, int]:
    """Take the box files out of `members`; lengths by sequence."""
    lengths = {}
    for member in list(members):
        name = Path(member).name.removesuffix(Path(layout.box_member.format(name="")).name)
        if name and member == layout.box_member.format(name=name):
            lengths[name] = _check_lines(member, members.pop(member), BOX_LINE, problems)
    return lengths


def _check_times(
    layout: Layout, members: dict[str, bytes], lengths: Mapping[str, int], problems: list[str]
) -> None:
    """Take the time file of each sequence out of `members` and compare its length."""
    if layout.time_member is None:
        return
    for name, length in lengths.items():
        member = layout.time_member.format(name=name)
        if member not in members:
            problems.append(f"{member}: missing")
            continue
        times = _check_lines(member, members.pop(member), TIME_LINE, problems)
        if times != length:
            problems.append(f"{member}: {times} times for {length} boxes")


def _check_lines(member: str, content: bytes, line: re.Pattern[bytes], problems: list[str]) -> int:
    """Number of lines, the first wrong one being a problem."""
    lines = content.split(b"\n")
    if lines.pop() != b"":
        problems.append(f"{member}: no newline at the end")
    for number, text in enumerate(lines, start=1):
        if not line.fullmatch(text):
            problems.append(f"{member}, line {number}: {text[:60].decode(errors='replace')!r}")
            break
    return len(lines)


def _check_counts(
    layout: Layout,
    lengths: Mapping[str, int],
    frames: Mapping[str, int] | None,
    problems: list[str],
) -> None:
    """Compare with the test set on disk, or with the official one."""
    if frames is None:
        boxes = sum(lengths.values())
        if len(lengths) != layout.sequences:
            problems.append(f"{len(lengths)} sequences, the test set has {layout.sequences}")
        if layout.boxes is not None and boxes != layout.boxes:
            problems.append(f"{boxes} boxes, the test set has {layout.boxes} frames")
        return
    problems += [f"{name}: missing" for name in frames if name not in lengths]
    problems += [f"{name}: not in the test set" for name in lengths if name not in frames]
    for name, length in lengths.items():
        expected = frames.get(name)
        if expected is not None and expected != length:
            problems.append(f"{name}: {length} boxes for {expected} frames")
