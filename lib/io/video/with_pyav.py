"""Videos by PyAV, which has FFmpeg's libraries in it: exact times, and errors that are told.

pyav_encoder.py writes them.
"""

import contextlib
import functools
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lib.io.video.codecs import TIMEOUT, Decoder, VideoError, not_a_video

logger = logging.getLogger(__name__)

MIN_VERSION = 17  # older ones lose last frames, and turn colours


@functools.cache
def load_pyav() -> Any:
    """Import PyAV, once; None, and a warning, where it is not installed."""
    try:
        import av

        if int(av.__version__.split(".")[0]) < MIN_VERSION:
            raise ImportError(f"{av.__version__} is older than {MIN_VERSION}")
    except ImportError as error:
        logger.warning(
            "OpenCV reads and writes videos, as PyAV cannot be used (%s); pip install 'av>=17' "
            "gives exact times, damage that is noticed, and H.264",
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
