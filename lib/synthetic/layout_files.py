"""Pieces of the data sets that clips are written as: checked clips, frames, lines of boxes.

Used by `lib/synthetic/layouts.py` alone.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from lib.synthetic.compose import Clip
from lib.utils.files import atomic_write_text

Clips = Mapping[str, Clip] | Iterable[tuple[str, Clip]]

QUALITY = 95  # of JPEGs, of 100


def pairs(clips: Clips) -> Iterator[tuple[str, Clip]]:
    """Yield names and clips, checked.

    Raises:
        ValueError: a name that is no file name, no frames, or parts of different lengths.
    """
    for name, clip in clips.items() if isinstance(clips, Mapping) else clips:
        if not re.fullmatch(r"[\w-][\w.-]*", name):
            raise ValueError(f"sequence name {name!r}: letters, digits, _, - and . are allowed")
        lengths = {field: len(part) for field, part in clip._asdict().items()}
        if len(set(lengths.values())) != 1 or not lengths["frames"]:
            raise ValueError(f"{name}: as many boxes and flags as frames are needed, got {lengths}")
        yield name, clip


def chosen(name: str, value: str, allowed: Sequence[str]) -> str:
    """Return a value that is one of the allowed ones, or raise ValueError."""
    if value not in allowed:
        raise ValueError(f"{name} {value!r}: one of {', '.join(allowed)} is needed")
    return value


def write_frames(folder: Path, pattern: str, first: int, clip: Clip, quality: int) -> None:
    """Write a clip's frames, numbered from `first`, to a folder of their own."""
    beyond = folder / pattern.format(first + len(clip.frames))
    if beyond.exists():
        raise FileExistsError(f"{beyond} is left from a longer sequence; remove {folder} first")
    for number, frame in enumerate(clip.frames, first):
        write_image(folder / pattern.format(number), frame, quality)


def write_image(path: Path, rgb: np.ndarray, quality: int) -> None:
    """Encode an (H, W, 3) uint8 RGB image; the file appears when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(path.suffix, bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data.tobytes())
    temporary.replace(path)  # no fsync: composed frames can be made again


def lines(boxes: np.ndarray, separator: str = ",", number: str = "{:.0f}") -> str:
    """Format boxes (T, 4), a line each; not-a-number as NaN."""
    texts = (["NaN" if np.isnan(value) else number.format(value) for value in box] for box in boxes)
    return "".join(separator.join(text) + "\n" for text in texts)


def add_line(path: Path, line: str) -> None:
    """Add a line to a text file that does not hold it."""
    held = path.read_text().splitlines() if path.exists() else []
    if line not in held:
        atomic_write_text(path, "".join(f"{text}\n" for text in [*held, line]))
