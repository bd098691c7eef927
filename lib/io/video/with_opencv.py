"""Videos by OpenCV: cameras always, and files and streams where PyAV is not installed."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lib.io.video.codecs import TIMEOUT, Decoder, VideoError, not_a_video
from lib.utils.files import TemporaryOutput


@contextlib.contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep OpenCV from printing what this project reports in its own words."""
    # OpenCV 4 has these at its top, OpenCV 5 in a module.
    log = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
    level = log.getLogLevel()
    log.setLogLevel(0)  # silent
    try:
        yield
    finally:
        log.setLogLevel(level)


class OpenCvDecoder(Decoder):
    """What OpenCV opens: a file, a stream, or a camera by its number."""

    def __init__(self, source: Path | str | int) -> None:
        arguments: tuple[Any, ...] = (source,)
        if isinstance(source, Path):
            arguments = (str(source), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        elif isinstance(source, str):
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 1000 * TIMEOUT]
            limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, 1000 * TIMEOUT]
            arguments = (source, cv2.CAP_FFMPEG, limits)
        with quiet_opencv():
            self._capture = cv2.VideoCapture(*arguments)
        if not self._capture.isOpened():
            raise VideoError(not_a_video(source, f"OpenCV {cv2.__version__}"))
        self.rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.length = max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)

    def grab(self) -> float | None:
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 if self._capture.grab() else None

    def image(self) -> np.ndarray:
        return cv2.cvtColor(self._capture.retrieve()[1], cv2.COLOR_BGR2RGB)

    def seek(self, number: int, seconds: float) -> None:
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, number)

    def close(self) -> None:
        self._capture.release()


class OpenCvEncoder:
    def __init__(self, path: Path, rate: float, codec: str, size: tuple[int, int]) -> None:
        """As `PyAvEncoder`, which see; frames are shown by the rate."""
        self._file = path.with_suffix(".mp4")  # OpenCV chooses the container by the name
        with quiet_opencv():
            code = cv2.VideoWriter.fourcc(*codec)
            self._writer = cv2.VideoWriter(str(self._file), code, rate, size)
        if not self._writer.isOpened():
            raise LookupError(codec)

    def write(self, rgb: np.ndarray, seconds: float) -> None:
        self._writer.write(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))

    def finish(self, output: TemporaryOutput, count: int) -> None:
        self._writer.release()
        written = cv2.VideoCapture(str(self._file))
        if not written.isOpened() or written.get(cv2.CAP_PROP_FRAME_COUNT) != count:
            raise OSError(f"{output.path} could not be written whole; is the disk full?")
        self._file.replace(output.temporary)
        output.keep()

    def release(self) -> None:
        self._writer.release()
        self._file.unlink(missing_ok=True)
