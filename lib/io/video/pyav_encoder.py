"""Encode videos by PyAV: fragments while frames come, an ordinary MP4 at the end."""

import contextlib
import os
from fractions import Fraction
from pathlib import Path

import numpy as np

from lib.io.video.end import end_of_whole_fragments
from lib.io.video.with_pyav import load_pyav
from lib.utils.files import TemporaryOutput

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
TICKS = 60_000  # a second; the unit of times in the file
BT709 = 1  # FFmpeg's number of the colours that players take for granted


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
