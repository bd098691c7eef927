"""What the TrackingNet and GOT-10k servers accept, and the check of an archive against it.

`submission.py` writes archives and uses this check on them. What an archive unpacks to is judged
before it is read: it may come from anywhere.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from lib.utils.files import read_regular

WHOLE = rb"\d{1,7}"
INTEGERS = re.compile(rb"-?%b,-?%b,%b,%b" % (4 * (WHOLE,)))  # sizes not negative
NUMBER = rb"\d{1,7}(?:\.\d{1,9})?"
NUMBERS = re.compile(rb"-?%b,-?%b,%b,%b\r?" % (4 * (NUMBER,)))  # the toolkit has %.3f
TIMES = re.compile(rb"\d{1,7}\.\d{6,9}(?:,\d{1,7}\.\d{6,9})*\r?")  # seconds, of each run
BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, OverflowError)
MAX_SIZE = 64 << 20  # bytes of an archive, and of what it unpacks to; real ones have a tenth


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
    box_line: re.Pattern[bytes] = INTEGERS
    boxes: int | None = None  # in the official test set, where it is published
    more_runs: tuple[str, ...] = ()  # names of boxes of further runs, which may be there
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
    box_line=NUMBERS,
    boxes=22834,
    more_runs=("{name}/{name}_002.txt", "{name}/{name}_003.txt"),
    time_member="{name}/{name}_time.txt",
)


def check(layout: Layout, archive: Path, frames: Mapping[str, int] | None = None) -> int:
    """Validate the names of an archive's members, every line and lengths; return its box count.

    Args:
        frames: the test set's sequences and their lengths; None: the official counts decide.

    Raises:
        OSError: there is no such file, or no regular one.
        SubmissionError: names every problem.
    """
    problems: list[str] = []
    members = _read_zip(layout, archive, problems)
    lengths = _check_boxes(layout, members, problems)
    problems += _wrong_counts(layout, lengths) if frames is None else _mismatches(lengths, frames)
    if problems:
        raise SubmissionError("\n".join(problems))
    return sum(lengths.values())


def _read_zip(layout: Layout, archive: Path, problems: list[str]) -> dict[str, bytes]:
    """Contents by member name, of those that belong there; others are problems, and not read."""
    members: dict[str, bytes] = {}
    _refuse_size(layout, archive.stat().st_size)
    try:
        with zipfile.ZipFile(io.BytesIO(read_regular(archive))) as file:
            chosen: dict[str, zipfile.ZipInfo] = {}
            for info in file.infolist():
                if reason := _refusal(layout, info, chosen):
                    problems.append(f"{info.filename}: {reason}")
                elif not info.is_dir():
                    chosen[info.filename] = info
            _refuse_size(layout, sum(info.file_size for info in chosen.values()))
            for name, info in chosen.items():
                with file.open(info) as member:  # verifies the checksum
                    members[name] = member.read(info.file_size + 1)
    except SubmissionError:
        raise
    except BAD_ZIP as error:
        raise SubmissionError(f"not a whole, readable zip file ({error})") from None
    return members


def _refuse_size(layout: Layout, size: int) -> None:
    if size > MAX_SIZE:
        raise SubmissionError(f"{size} bytes; no archive of {layout.title} has {MAX_SIZE}")


def _refusal(layout: Layout, info: zipfile.ZipInfo, others: Mapping[str, object]) -> str:
    """Why a member is not even read; empty if it may be, or is a folder's entry."""
    kinds = [layout.box_member, *layout.more_runs, *filter(None, [layout.time_member])]
    if info.filename in others:
        return "twice in the archive"
    if info.is_dir():
        return "a folder with content" if info.file_size else ""
    if not any(_sequence(kind, info.filename) for kind in kinds):
        return "does not belong there"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "neither stored nor deflated"
    return ""


def _sequence(kind: str, member: str) -> str:
    """The sequence whose file of a kind, such as "{name}/{name}_001.txt", a member is, or ""."""
    name = member.rpartition("/")[2].removesuffix(kind.rpartition("{name}")[2])
    return name if name and member == kind.format(name=name) else ""


def _check_boxes(
    layout: Layout, members: Mapping[str, bytes], problems: list[str]
) -> dict[str, int]:
    """Check the files of each sequence; its number of boxes by its name."""
    lengths: dict[str, int] = {}
    for member in members:
        if name := _sequence(layout.box_member, member):
            lengths[name] = _check_lines(member, members[member], layout.box_line, problems)
            further = [kind.format(name=name) for kind in layout.more_runs]
            runs = [run for run in further if run in members]
            for run in runs:
                boxes = _check_lines(run, members[run], layout.box_line, problems)
                if boxes != lengths[name]:
                    text = f"{boxes} boxes, the first run has {lengths[name]}"
                    problems.append(f"{run}: {text}")
            if layout.time_member is not None:
                times = layout.time_member.format(name=name)
                _check_times(times, members.get(times), lengths[name], 1 + len(runs), problems)
    for kind in filter(None, [*layout.more_runs, layout.time_member]):
        names = {member: _sequence(kind, member) for member in members}
        alone = [member for member, name in names.items() if name and name not in lengths]
        problems += [f"{member}: of a sequence without a first run of boxes" for member in alone]
    return lengths


def _check_times(
    member: str, content: bytes | None, boxes: int, runs: int, problems: list[str]
) -> None:
    """Check times: a line for each box, with a number for each run or one."""
    if content is None:
        problems.append(f"{member}: missing")
        return
    times, found = _check_lines(member, content, TIMES, problems), len(problems)
    if times != boxes:
        problems.append(f"{member}: {times} times for {boxes} boxes")
    columns = sorted({line.count(b",") + 1 for line in content.splitlines()})
    if len(problems) == found and columns not in ([runs], [1]):
        text = " or ".join(map(str, columns))
        problems.append(f"{member}: {text} times a line for {runs} runs")


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
