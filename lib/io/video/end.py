"""Where a video file ends by its own account: whether its end is missing.

MP4, AVI and Matroska say how long their parts are, and MPEG-TS is made of packets; a file that ends
within such a part was cut off. Numbers of frames and durations in headers are estimates, and
nothing is concluded from them.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

MP4_BOXES = frozenset(
    b"ftyp styp moov moof mdat mfra sidx free skip wide pnot udta meta uuid pdin prft emsg".split()
)
TS_PACKET = 188  # bytes
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


class Part(NamedTuple):
    """A part at the top level of a file."""

    kind: bytes
    end: int  # bytes from the start of the file; beyond the file's own end if it was cut off


def missing_end(path: Path) -> str:
    """Say what is missing at the end of a video file; empty if nothing is, or none can tell."""
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        parts = list(_parts(file, size))
    end = max((part.end for part in parts), default=0)
    if end > size + 1:  # one byte of padding may be left out
        return f"the file was cut off: it has {size} bytes of {end}"
    if parts and parts[-1].kind == b"moof":
        return "the file was cut off: its last fragment has no frames"
    return ""


def end_of_whole_fragments(path: Path) -> int:
    """How many bytes of an MP4 in fragments are whole: up to the last complete mdat box."""
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        ends = [part.end for part in _mp4_boxes(file, size) if part.kind == b"mdat"]
    return max((end for end in ends if end <= size), default=0)


def _parts(file: BinaryIO, size: int) -> Iterator[Part]:
    head = file.read(12)
    if head[4:8] in MP4_BOXES:
        return _mp4_boxes(file, size)
    if head[:4] == b"RIFF":
        return _riff_chunks(file, size)
    if head[:4] == EBML:
        return _segments(file, size)
    if head[:1] == b"G" and file.seek(TS_PACKET) and file.read(1) == b"G":
        return iter([Part(b"G", -(-size // TS_PACKET) * TS_PACKET)])
    return iter(())


def _mp4_boxes(file: BinaryIO, size: int) -> Iterator[Part]:
    position = 0
    while position + 8 <= size:
        file.seek(position)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:  # a longer number follows
            length = int.from_bytes(file.read(8), "big")
        elif length == 0:  # up to the end of the file
            length = size - position
        if kind not in MP4_BOXES or length < 8:
            return
        position += length
        yield Part(kind, position)


def _riff_chunks(file: BinaryIO, size: int) -> Iterator[Part]:
    """Chunks of an AVI file, one a gigabyte; a length of 0 was never filled in."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF" or length in (0, 0xFFFFFFFF):
            return
        position += 8 + length
        yield Part(kind, position)


def _segments(file: BinaryIO, size: int) -> Iterator[Part]:
    """The segment of a Matroska file after its header; a live one has no length."""
    position = 0
    for kind in (EBML, SEGMENT):
        file.seek(position)
        if file.read(4) != kind:
            return
        first = file.read(1)
        count = 9 - first[0].bit_length() if first and first[0] else 9  # bytes of the length
        if count > 8:
            return
        bits = int.from_bytes(first + file.read(count - 1), "big")
        length = bits - (1 << 7 * count)
        if length == (1 << 7 * count) - 1:  # not known
            return
        position += 4 + count + length
        yield Part(kind, position)
