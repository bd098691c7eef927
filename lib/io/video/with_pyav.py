"""Videos by PyAV, which has FFmpeg's libraries in it: exact times, and errors that are told."""

import contextlib
import functools
import itertools
import logging
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from lib.io.video.codecs import TIMEOUT, Decoder, VideoError, not_a_video
from lib.io.video.end import end_of_whole_fragments
from lib.utils.files import TemporaryOutput

logger = logging.getLogger(__name__)

ENCODERS = {  # of FFmpeg, by the four characters of codecs
    "avc1": "libx264",
    "h264": "libx264",
    "hvc1": "libx265",
    "hev1": "libx265",
    "av01": "libsvtav1",
    "vp09": "libvpx-vp9",
    "mp4v": "mpeg4",
}
OPTIONS = {
    "libx264": {"preset": "veryfast", "crf": "20"},
    "libx265": {"preset": "veryfast", "x265-params": "log-level=none"},
    "mpeg4": {"q:v": "4"},
}
MIN_VERSION = 17  # older ones lose last frames, and turn colours
TICKS = 60_000  # a second; the unit of times in the file
BT709 = 1  # FFmpeg's number of the colours that players take for granted


@functools.cache
def load_pyav() -> Any:
    """Import PyAV, once; None, and a warning, where it is not installed."""
    try:
        import av

        if int(av.__version__.split(".")[0]) < MIN_VERSION:
            raise ImportError(f"{av.__version__} is older than {MIN_VERSION}")
    except ImportError as error:
        logger.warning(
            "OpenCV reads and writes videos, as PyAV cannot be used (%s); pip install av gives "
            "exact times, damage that is noticed, and H.264",
            error,
        )
        return None
    av.logging.set_level(av.logging.PANIC)  # errors are raised, and told in this project's words
    return av


class PyAvDecoder(Decoder):
    """FFmpeg by way of PyAV, on one thread: tracking and loading have their own."""

    def __init__(self, source: Path | str) -> None:
        self._av = load_pyav()
        is_file = isinstance(source, Path)
        # A file that is a list of others must not make this program fetch them.
        options = {"protocol_whitelist": "file"} if is_file else {"rtsp_transport": "tcp"}
        limits = {"timeout": None if is_file else TIMEOUT, "metadata_errors": "replace"}
        try:
            self._container = self._av.open(str(source), options=options, **limits)
        except self._av.FFmpegError as error:
            raise VideoError(not_a_video(source, f"FFmpeg ({error.strerror})")) from error
        self._stream = self._container.streams.best("video")
        if self._stream is None or not self._stream.codec_context:
            self._container.close()
            raise VideoError(not_a_video(source, "FFmpeg (no pictures that it can decode)"))
        self._stream.codec_context.thread_count = 1
        self.rate = float(self._stream.average_rate or self._stream.guessed_rate or 0)
        seconds = (self._container.duration or 0) / self._av.time_base
        self.length = self._stream.frames or round(seconds * self.rate)
        self._frames, self._seconds = self._decode(), 0.0
        self._frame: Any = None
        # Keeps what converting needs from one frame to the next.
        self._to_rgb = self._av.video.reformatter.VideoReformatter()

    def grab(self) -> float | None:
        self._frame = next(self._frames, None)
        if self._frame is None:
            return None
        follows = self._seconds + 1 / (self.rate or 25)  # where the file gives no time
        self._seconds = follows if self._frame.time is None else self._frame.time
        return self._seconds

    def image(self) -> np.ndarray:
        rgb = self._to_rgb.reformat(self._frame, format="rgb24").to_ndarray()
        return as_displayed(rgb, self._frame.side_data.get("DISPLAYMATRIX"))

    def seek(self, number: int, seconds: float) -> None:
        with contextlib.suppress(self._av.FFmpegError):  # it stays where it is
            self._container.seek(int(seconds / self._stream.time_base), stream=self._stream)
        # Frames before the first key frame may be made of others that were jumped over.
        self._frames = itertools.dropwhile(lambda frame: not frame.key_frame, self._decode())

    def close(self) -> None:
        self._frame, self._frames = None, iter(())
        self._container.close()

    def _decode(self) -> Iterator[Any]:
        """Decode packet by packet; one that cannot be decoded is skipped."""
        for packet in self._packets():
            try:
                yield from self._stream.decode(packet)
            except self._av.FFmpegError as error:
                self._note(f"FFmpeg cannot decode a part of it ({error.strerror})")

    def _packets(self) -> Iterator[Any]:
        """Packets, the last of which tells the decoder to give all that it holds."""
        try:
            for packet in self._container.demux(self._stream):
                if packet.is_corrupt:
                    self._note("a part of it is damaged or missing")
                yield packet
        except self._av.FFmpegError as error:
            self._note(f"FFmpeg cannot read on ({error.strerror})")
            yield None

    def _note(self, problem: str) -> None:
        self.problem = self.problem or problem


def as_displayed(rgb: np.ndarray, matrix: Any) -> np.ndarray:
    """Turn and mirror an (H, W, 3) image by a display matrix of right angles.

    matrix: a buffer of 3 x 3 int32, or None.
    """
    if matrix is not None:
        # A pixel (x, y) goes to (a x + c y, b x + d y).
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
        if abs(b) > abs(a):
            rgb, a, d = rgb.swapaxes(0, 1), c, b
        rgb = rgb[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(rgb)


class PyAvEncoder:
    def __init__(self, path: Path, rate: float, codec: str, size: tuple[int, int]) -> None:
        """Open the file for frames of `size`, width and height; LookupError: no such codec."""
        self._av = load_pyav()
        name = ENCODERS.get(codec.lower(), "")
        if name not in self._av.codec.codecs_available:
            raise LookupError(codec)
        # Colours have half the resolution: sides are even, and an odd one's last pixels repeated.
        self._padding = [(0, side % 2) for side in size[::-1]] + [(0, 0)]
        self._last = -1  # ticks
        options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
        self._container = self._av.open(str(path), "w", format="mp4", options=options)
        exact_rate = Fraction(rate).limit_denominator(1001)
        stream = self._container.add_stream(name, exact_rate, options=OPTIONS.get(name, {}))
        stream.width, stream.height = (side + side % 2 for side in size)
        stream.pix_fmt, self._stream = "yuv420p", stream
        context = stream.codec_context
        context.gop_size, context.max_b_frames = max(2, round(2 * rate)), 0
        context.time_base = Fraction(1, TICKS)
        context.colorspace = context.color_primaries = context.color_trc = BT709
        self._to_yuv = self._av.video.reformatter.VideoReformatter()

    def write(self, rgb: np.ndarray, seconds: float) -> None:
        padded = np.pad(rgb, self._padding, "edge")
        frame = self._av.VideoFrame.from_ndarray(padded, format="rgb24")
        frame = self._to_yuv.reformat(frame, format="yuv420p", dst_colorspace="ITU709")
        self._last = max(round(seconds * TICKS), self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, TICKS)
        self._container.mux(self._stream.encode(frame))

    def finish(self, output: TemporaryOutput, count: int) -> None:
        whole = TemporaryOutput(output.path)
        try:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._remux(output.temporary, whole.temporary, count)
            whole.keep()
        except OSError as error:
            self.release()
            whole.discard()  # makes room
            os.truncate(output.temporary, end_of_whole_fragments(output.temporary))
            if kept := self._frames_in(output.temporary):
                output.keep()
            reason = f"{error.strerror or error}; {kept} of {count} frames are kept"
            raise OSError(f"{output.path} could not be written whole ({reason})") from error
        finally:
            whole.discard()

    def release(self) -> None:
        with contextlib.suppress(OSError):
            self._container.close()

    def _remux(self, fragments: Path, whole: Path, count: int) -> None:
        """Copy the `count` frames, not decoded, into an MP4 with its index in front."""
        if self._frames_in(fragments) != count:
            raise OSError("is the disk full?")
        options = {"movflags": "faststart"}
        with (
            self._av.open(str(fragments)) as source,
            self._av.open(str(whole), "w", format="mp4", options=options) as target,
        ):
            stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
            for packet in source.demux(video=0):
                if packet.size:  # the last one is empty
                    packet.stream = stream
                    target.mux(packet)

    def _frames_in(self, path: Path) -> int:
        """How many whole frames there are in fragments."""
        if not end_of_whole_fragments(path):
            return 0
        with self._av.open(str(path)) as container:
            packets = container.demux(video=0)
            return sum(packet.size > 0 and not packet.is_corrupt for packet in packets)
