"""Read frames from whatever a user names: a video, a camera, images, a stream.

    with open_source("clip.mp4") as source:
        for frame in source:
            frame.image  # (H, W, 3) uint8 RGB, whoever decoded it

One frame is held at a time, so memory does not grow with the video.
"""

import abc
import glob
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from lib.io.video_file import NO_FRAME, NOT_A_VIDEO, VideoError, quiet_opencv
from lib.utils.image import IMAGE_SUFFIXES, ImageError, by_number, is_image_name, read_rgb

DEFAULT_RATE = 25.0  # frames a second, where a source does not say
MIN_RATE, MAX_RATE = 1.0, 1000.0  # frames a second; what a source says beyond them is not believed
TIMEOUT_MS = 10_000  # to wait for a stream
# Many containers hold a duration, from which OpenCV works out the frames: not exact to the frame.
MAX_MISSING = 0.01  # share of the announced frames


class VideoBrokenOffError(RuntimeError):
    """A source that ended before its end; the message says after how many frames."""


class Frame(NamedTuple):
    """One frame of a source."""

    number: int  # from 0
    seconds: float  # since the first frame
    image: np.ndarray  # (H, W, 3) uint8 RGB


class FrameSource(abc.ABC):
    """Frames one after another; reading them once is all that is promised.

    Iterating raises VideoError if there is no first frame, and VideoBrokenOffError after the last
    frame of a source that ends too early.
    """

    def __init__(self, name: str, rate: float, length: int | None) -> None:
        self.name = name  # for messages and file names
        self.rate = rate  # frames a second
        self.length = length  # frames, if known

    @abc.abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    def __enter__(self) -> "FrameSource":
        return self

    def __exit__(self, *_: object) -> None:  # noqa: B027 - not all have one
        """Close the file or device."""


def open_source(source: str, rate: float | None = None) -> FrameSource:
    """Open a camera ("0"), stream ("rtsp://..."), folder or pattern ("frames/*.jpg"), or a video.

    Args:
        rate: frames a second; None takes what the source says.

    Raises:
        FileNotFoundError: no such file or folder, or no image in it.
        VideoError: it cannot be opened.
    """
    path = Path(source).expanduser()
    if source.isdigit():
        return _Capture(f"camera {source}", int(source), rate, live=True)
    if "://" in source:
        return _Capture(source, source, rate, live=None)
    if path.is_dir():
        inside = _images(path.iterdir()) or _images(path.glob("img/*"))  # data sets have img
        return _Images(source, inside, rate)
    if path.is_file():
        if is_image_name(path.name):
            raise VideoError(f"{source} is one image; name its folder, or a pattern such as *.jpg")
        return _Capture(source, str(path), rate, live=False)
    if glob.has_magic(source):
        return _Images(source, _images(map(Path, glob.glob(str(path)))), rate)
    raise FileNotFoundError(
        f"no video {source!r}: neither a file nor a folder, the index of a camera, a pattern, or "
        "an address such as rtsp://..."
    )


class _Images(FrameSource):
    """Image files in the order of the numbers in their names."""

    def __init__(self, name: str, paths: list[Path], rate: float | None) -> None:
        if not paths:
            raise FileNotFoundError(f"{name}: no image there ({', '.join(sorted(IMAGE_SUFFIXES))})")
        super().__init__(name, rate or DEFAULT_RATE, len(paths))
        self._paths = sorted(paths, key=lambda path: by_number(path.name))

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self._paths):
            try:
                image = read_rgb(path)
            except (ImageError, OSError) as error:
                if not index:
                    raise VideoError(str(error)) from error
                text = f"{self.name}: {index} of {self.length} frames, then: {error}"
                raise VideoBrokenOffError(text) from error
            yield Frame(index, index / self.rate, image)


class _Capture(FrameSource):
    """What OpenCV opens: a video file, a camera, a stream."""

    def __init__(self, name: str, target: str | int, rate: float | None, live: bool | None) -> None:
        """Open it. live: it has no end of its own; None: so if it announces no length."""
        self._capture = _open_capture(target)
        if not self._capture.isOpened():
            raise VideoError(f"{name}: {_why_not(target)}")
        announced_rate = self._capture.get(cv2.CAP_PROP_FPS)
        plausible = MIN_RATE <= announced_rate <= MAX_RATE
        announced = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        length = announced if announced > 0 and not live else None
        super().__init__(name, rate or (announced_rate if plausible else DEFAULT_RATE), length)
        self._live = length is None if live is None else live

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        index, begin = 0, 0.0
        while (read := self._capture.read())[0]:
            now = self._now(index)
            begin = begin if index else now
            yield Frame(index, max(now - begin, 0.0), cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
            index += 1
        # Raise if the end comes too early.
        if not index:
            raise VideoError(f"{self.name}: {NO_FRAME}")
        if self._live:
            raise VideoBrokenOffError(f"{self.name}: no further frame after {index}")
        if self.length is not None and self.length - index > max(1, MAX_MISSING * self.length):
            text = f"{self.name}: {index} frames could be read, {self.length} were announced"
            raise VideoBrokenOffError(text)

    def _now(self, index: int) -> float:
        """Time of the frame just read, seconds: a clock's, the file's, or by the rate."""
        if self._live:
            return time.monotonic()
        position = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return position if position > 0 else index / self.rate


def _open_capture(target: str | int) -> cv2.VideoCapture:
    """Open with OpenCV; give up on a stream that does not answer."""
    with quiet_opencv():
        if isinstance(target, str) and "://" in target:
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS]
            limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]
            return cv2.VideoCapture(target, cv2.CAP_FFMPEG, limits)
        return cv2.VideoCapture(target)


def _why_not(target: str | int) -> str:
    if isinstance(target, int):
        return "there is no such camera, or another program has it"
    if "://" in target:
        return "the stream does not answer, or is none that OpenCV can read"
    return NOT_A_VIDEO


def _images(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if is_image_name(path.name)]
