"""Video files of frames whose number can be read off them."""

import struct
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from lib.io.video.with_pyav import load_pyav

HEIGHT, WIDTH = 64, 96


def numbered_frame(number: int) -> np.ndarray:
    """Return an (H, W, 3) uint8 RGB frame: reddish, its number in black and white bars."""
    frame = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    frame[:] = (200, 90, 40)
    for bit in range(8):
        frame[16:48, 12 * bit : 12 * bit + 12] = 255 * (number >> bit & 1)
    return frame


def number_of(frame: np.ndarray) -> int:
    """Read the number off a frame."""
    return sum(int(frame[32, 12 * bit + 6].mean() > 127) << bit for bit in range(8))


def write_numbered(path: Path, count: int, codec: str = "mp4v", rate: float = 25) -> Path:
    """Write a video of numbered frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, (WIDTH, HEIGHT))
    assert writer.isOpened(), codec
    for number in range(count):
        writer.write(cv2.cvtColor(numbered_frame(number), cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def write_timed(
    path: Path,
    count: int = 60,
    codec: str = "libx264",
    milliseconds: Callable[[int], int] = lambda number: 40 * number,
    *,
    sound: float = 0,
    encoder: dict[str, str] | None = None,
    **options: str,
) -> Path:
    """Write numbered frames at given times, with B-frames, and seconds of silence.

    encoder, options: FFmpeg's, the second ones of the container.
    """
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, 25, options=encoder or {})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        context = stream.codec_context
        context.time_base, context.gop_size = Fraction(1, 1000), 12
        context.max_b_frames = 2 if codec == "libx264" else 0
        silence = container.add_stream("aac", 44100) if sound else None
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number), format="rgb24")
            frame.pts, frame.time_base = milliseconds(number), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for part in range(int(sound * 44100 / 1024)):
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), "f4"), "fltp", "stereo")
            frame.sample_rate, frame.pts = 44100, 1024 * part
            container.mux(silence.encode(frame))
        container.mux(silence.encode(None) if silence else [])
    return path


def copy_packets(source: Path, target: Path, start: float = 0, offset: float = 0) -> Path:
    """Copy a video, not decoded: from the key frame before `start`, with its times moved.

    What then lies before 0 is hidden by an edit list.
    """
    options = {"avoid_negative_ts": "disabled"}
    with av.open(str(source)) as read, av.open(str(target), "w", options=options) as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        read.seek(int(start * av.time_base))
        moved = round((offset - start) / read.streams.video[0].time_base)
        for packet in read.demux(video=0):
            if packet.dts is not None:
                packet.pts, packet.dts = packet.pts + moved, packet.dts + moved
                packet.stream = stream
                written.mux(packet)
    return target


def turn(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Have an MP4 shown turned: its pixel (x, y) at (a x + c y, b x + d y)."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # 3 x 3, of which the last column has other units
    content[matrix : matrix + 36] = struct.pack(
        ">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30
    )
    path.write_bytes(content)


def uninstall_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make PyAV a package that is not installed; the caller's fixture clears the cache after."""
    monkeypatch.setitem(sys.modules, "av", None)
    load_pyav.cache_clear()
