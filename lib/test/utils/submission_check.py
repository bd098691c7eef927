"""What the TrackingNet and GOT-10k servers accept, and the check of an archive against it.

`submission.py` writes archives and uses this check on them.
"""

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
    """What one server expects: TRACKINGNET or GOT10K."""

    title: str
    archive: str  # file name
    dataset: str  # the test set's name in the project
    frames_folder: str  # where the data set keeps a folder of images for each sequence
    sequences: int  # in the official test set
    box_member: str  # name in the archive, `{name}` being the sequence
    boxes: int | None = None  # in the official test set, where it is published
    time_member: str | None = None  # None: the server takes no times


TRACKINGNET = Layout(
    "TrackingNet", "trackingnet_submit.zip", "trackingnet", "TEST/frames", 511, "{name}.txt"
)
GOT10K = Layout(
    title="GOT-10k",
    archive="got10k_submit.zip",
    dataset="got10k_test",
    frames_folder="test",
    sequences=180,
    box_member="{name}/{name}_001.txt",
    boxes=22834,
    time_member="{name}/{name}_time.txt",
)


def check(layout: Layout, archive: Path, frames: Mapping[str, int] | None = None) -> int:
    """Validate the names of an archive's members, every line and lengths; return its box count.

    Args:
        frames: the test set's sequences and their lengths; None: the official counts decide.

    Raises:
        FileNotFoundError: there is no such file.
        SubmissionError: names every problem.
    """
    problems: list[str] = []
    members = _read_zip(archive, problems)
    lengths = _check_boxes(layout, members, problems)
    _check_times(layout, members, lengths, problems)
    problems += [f"{name}: does not belong there" for name in members]
    problems += _wrong_counts(layout, lengths) if frames is None else _mismatches(lengths, frames)
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
    """Number of lines; the first wrong one is a problem."""
    lines = content.split(b"\n")
    if lines.pop() != b"":
        problems.append(f"{member}: no newline at the end")
    for number, text in enumerate(lines, start=1):
        if not line.fullmatch(text):
            problems.append(f"{member}, line {number}: {text[:60].decode(errors='replace')!r}")
            break
    return len(lines)


def _wrong_counts(layout: Layout, lengths: Mapping[str, int]) -> list[str]:
    """Where the totals are not those of the official test set."""
    problems, boxes = [], sum(lengths.values())
    if len(lengths) != layout.sequences:
        problems.append(f"{len(lengths)} sequences, the test set has {layout.sequences}")
    if layout.boxes not in (None, boxes):
        problems.append(f"{boxes} boxes, the test set has {layout.boxes} frames")
    return problems


def _mismatches(lengths: Mapping[str, int], frames: Mapping[str, int]) -> list[str]:
    """Where sequences or lengths are not those of the test set on disk."""
    problems = [f"{name}: missing" for name in frames if name not in lengths]
    problems += [f"{name}: not in the test set" for name in lengths if name not in frames]
    return problems + [
        f"{name}: {length} boxes for {frames[name]} frames"
        for name, length in lengths.items()
        if frames.get(name, length) != length
    ]
