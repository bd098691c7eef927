"""Read frames from whatever a user names: a video, a camera, images, a stream.

    with open_source("clip.mp4") as source:
        for frame in source:
            frame.image  # (H, W, 3) uint8 RGB, whoever decoded it

One frame is held at a time, so memory does not grow with the video.
"""

import abc
import glob
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.io.video.codecs import VideoError
from lib.io.video.decoding import open_decoder
from lib.io.video.end import missing_end
from lib.io.video.with_opencv import OpenCvDecoder
from lib.io.video_file import NO_FRAME, VideoFile
from lib.utils.image import IMAGE_SUFFIXES, ImageError, by_number, is_image_name, read_rgb

DEFAULT_RATE = 25.0  # frames a second, where a source does not say
MIN_RATE, MAX_RATE = 1.0, 1000.0  # frames a second; what a source says beyond them is not believed
MAX_CAMERA = 999


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
        self.length = length  # frames; of a video an estimate; None: not known
        self.files: list[Path] = []  # that are read

    @abc.abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    @property
    def count(self) -> int:
        """How many frames `read` has; of a video, those that can be decoded. Raises as `read`."""
        raise ValueError(f"{self.name}: its frames come once and in order; there is no way back")

    def read(self, number: int) -> Frame:
        """Read any frame of a file or folder, counted from 0.

        Raises:
            ValueError: a camera or a stream. IndexError: no such frame. ImageError, VideoError.
        """
        if not 0 <= number < self.count:
            raise IndexError(f"{self.name} has the frames 0 to {self.count - 1}; wanted: {number}")
        return self._read(number)

    def seconds(self, number: int) -> float:
        """Time of a frame that `read` has, since the first one; nothing is decoded."""
        return number / self.rate

    def _read(self, number: int) -> Frame:
        raise NotImplementedError

    def walk(self, start: int | None = None, *, backwards: bool = False) -> Iterator[Frame]:
        """Frames from `start` to the end, or back to frame 0; without it, from the very first or
        last. Raises as iterating does, and, where it does not begin at 0, as `read`."""
        if not backwards and not start:
            return iter(self)
        begin = self.count - 1 if start is None else start
        numbers = range(begin, -1, -1) if backwards else range(begin, max(self.count, begin + 1))
        return map(self.read, numbers)

    def __enter__(self) -> "FrameSource":
        return self

    def __exit__(self, *_: object) -> None:  # noqa: B027 - not all have one
        """Close the file or device."""


def open_source(source: str, rate: float | None = None) -> FrameSource:
    """Open a video, folder or pattern of images ("frames/*.jpg"), stream ("rtsp://..."), or camera
    ("0", "/dev/video0"). A file or folder that has the name of another kind goes first.

    Args:
        rate: frames a second; None takes what the source says.

    Raises:
        FileNotFoundError: no such file or folder, or no image in it.
        VideoError: it cannot be opened.
    """
    path = Path(source).expanduser()
    if not source.strip():
        raise FileNotFoundError("the name of the video is empty")
    if path.is_dir():
        inside = _images(path.iterdir()) or _images(path.glob("img/*"))  # data sets have img
        return _Images(source, inside, rate)
    if path.is_file():
        if is_image_name(path.name):
            raise VideoError(f"{source} is one image; name its folder, or a pattern such as *.jpg")
        return _Video(source, path, rate)
    if camera := re.fullmatch(r"(?:/dev/video)?([0-9]+)", source):
        if (number := int(camera[1])) > MAX_CAMERA:
            raise VideoError(f"camera {number}: cameras have the numbers 0 to {MAX_CAMERA}")
        return _Video(f"camera {number}", number, rate)
    if path.exists():
        raise VideoError(f"{source} is neither a regular file nor a folder")
    if "://" in source:
        return _Video(source, source, rate)
    if glob.has_magic(source):
        return _Images(source, _images(map(Path, glob.glob(str(path)))), rate)
    raise FileNotFoundError(
        f"no video {source!r}: neither a file nor a folder, the index of a camera, a pattern, or "
        "an address such as rtsp://..."
    )


def open_sources(sources: Sequence[str], rate: float | None = None) -> FrameSource:
    """As `open_source`, or of images one by one, as a shell makes them of a pattern.

    Raises:
        FileNotFoundError: one of several is not there.
        VideoError: one of several is no image.
    """
    if len(sources) == 1:
        return open_source(sources[0], rate)
    paths = [Path(source) for source in sources]
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"no image {str(path)!r} (of {len(paths)} files)")
        if not is_image_name(path.name):
            text = f"of {len(paths)} files all are images of one sequence; given: {path}"
            raise VideoError(f"{text}; videos are tracked one by one")
    return _Images(str(paths[0].absolute().parent), paths, rate)


class _Images(FrameSource):
    """Image files in the order of the numbers in their names."""

    def __init__(self, name: str, paths: list[Path], rate: float | None) -> None:
        if not paths:
            raise FileNotFoundError(f"{name}: no image there ({', '.join(sorted(IMAGE_SUFFIXES))})")
        super().__init__(name, rate or DEFAULT_RATE, len(paths))
        self.files = sorted(paths, key=lambda path: by_number(path.name))

    @property
    def count(self) -> int:
        return len(self.files)

    def _read(self, number: int) -> Frame:
        return Frame(number, self.seconds(number), read_rgb(self.files[number]))

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.count):
            try:
                frame = self._read(index)
            except (ImageError, OSError) as error:
                if not index:
                    raise VideoError(str(error)) from error
                text = f"{self.name}: {index} of {self.length} frames, then: {error}"
                raise VideoBrokenOffError(text) from error
            yield frame


class _Video(FrameSource):
    """A video file, a stream or a camera; one without a length has no end of its own."""

    def __init__(self, name: str, place: Path | str | int, rate: float | None) -> None:
        """place: a file, an address, or the number of a camera, which OpenCV opens."""
        self._decoder = OpenCvDecoder(place) if isinstance(place, int) else open_decoder(place)
        self._given_rate, said = rate, self._decoder.rate
        likely = rate or (said if MIN_RATE <= said <= MAX_RATE else DEFAULT_RATE)
        is_camera = isinstance(place, int)
        super().__init__(name, likely, None if is_camera else self._decoder.length or None)
        self.files = [place] if isinstance(place, Path) else []
        self._live = not self.files and self.length is None
        self._video = VideoFile(place) if isinstance(place, Path) else None

    def __exit__(self, *_: object) -> None:
        self._decoder.close()
        if self._video is not None:
            self._video.close()

    @property
    def count(self) -> int:
        return super().count if self._video is None else self._video.count

    def seconds(self, number: int) -> float:
        assert self._video is not None  # `count` raises before
        now = self._video.seconds(number) - self._video.seconds(0)
        return max(self._time(number, now), 0.0)

    def _read(self, number: int) -> Frame:
        assert self._video is not None
        return Frame(number, self.seconds(number), self._video.read(number))

    def __iter__(self) -> Iterator[Frame]:
        index, begin = 0, 0.0
        while (now := self._decoder.grab()) is not None:
            now = self._time(index, now)
            begin = begin if index else now
            yield Frame(index, max(now - begin, 0.0), self._decoder.image())
            index += 1
        # Raise if the end comes too early.
        problem = "".join(map(missing_end, self.files)) or self._decoder.problem
        if not index:
            raise VideoError(f"{self.name}: {problem or NO_FRAME}")
        if self._live:
            raise VideoBrokenOffError(f"{self.name}: no further frame after {index}")
        if problem:
            raise VideoBrokenOffError(f"{self.name}: {index} frames could be read; {problem}")

    def _time(self, index: int, now: float) -> float:
        """Time of a frame, seconds: a clock's, by the rate that was asked for, or the file's."""
        if self._live:
            return time.monotonic()
        return index / self._given_rate if self._given_rate else now


def _images(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if is_image_name(path.name)]
