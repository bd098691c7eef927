"""Frames of a video file by their number: in any order for training, one by one for tracking.

    video = VideoFile("clip.mp4")
    video.count         # found by decoding the file once; headers often lie
    video.read(99)      # (H, W, 3) uint8 RGB, what reading in order gives after 99 other frames

OpenCV's seeking is not exact: it computes frame numbers from times and the mean rate. Here the
times of all frames are cached; the frame that a seek lands on is found by its time, and those up to
the wanted one are decoded.
"""

import contextlib
import functools
import logging
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from lib.io.array_cache import cached_arrays
from lib.utils.image import ImageError, read_rgb

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"})
MAX_DECODED = 32  # frames ahead that are decoded rather than jumped over
MAX_OPEN = 4  # decoders that a training process keeps; one of 1080p takes some 50 MB
SEEK_MARGINS = (0, 16, 64, 256)  # frames before the wanted one that seeking aims at, in turn
OPENCV = f"OpenCV {cv2.__version__}"
NOT_A_VIDEO = (
    f"not a video that {OPENCV} can read: another kind of file, truncated, or in an unknown codec"
)
NO_FRAME = f"opens, but gives no frame (broken, or in a codec that {OPENCV} cannot read)"
UNORDERED = (
    "the times of its frames do not increase, so that every jump decodes it from the start; for "
    "training, turn it into a folder of images"
)


class VideoError(OSError):
    """A video that cannot be read at all; the message names it."""


def is_video_name(name: str) -> bool:
    """True for a file name that ends like a video."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES


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


class VideoFile:
    """A video that each process opens when it first reads it.

    Holds one decoder at most, whatever the length; reading the last frame releases it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._capture: cv2.VideoCapture | None = None
        self._next = 0  # number of the frame that the decoder gives next

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_capture": None, "_next": 0}

    @property
    def count(self) -> int:
        """Number of frames that can be decoded; the first time, the whole file is.

        FileNotFoundError: no such file. VideoError: not a video, or without frames.
        """
        return len(self._times)

    def read(self, index: int) -> np.ndarray:
        """Decode a frame, counted from 0: (H, W, 3) uint8 RGB, rotated as the file says.

        IndexError: there is no such frame. ImageError: it cannot be decoded. Others: see `count`.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"{self.path} has the frames 0 to {self.count - 1}; wanted: {index}")
        ok, bgr = self._seek(index).read()
        if not ok:
            self.close()
            raise ImageError(f"{self.path}: frame {index} cannot be decoded")
        self._next = index + 1
        if self._next == self.count:
            self.close()
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        """Release the decoder; the next reading opens it again."""
        if self._capture is not None:
            self._capture.release()
        self._capture, self._next = None, 0
        _decoding.discard(self)

    @functools.cached_property
    def _times(self) -> np.ndarray:
        """Time of every frame, (T,) float64 milliseconds."""
        status = os.stat(self.path)
        stamp = f"{status.st_mtime_ns} {status.st_size}"
        name = f"{self.path.suffix[1:]}-times"
        return cached_arrays(self.path, name, stamp, ["times"], self._read_times)["times"]

    def _read_times(self) -> dict[str, np.ndarray]:
        logger.info("%s: counting the frames (once)", self.path)
        capture = self._open()
        times = []
        while capture.grab():
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC))
        self.close()
        if not times:
            raise VideoError(f"{self.path}: {NO_FRAME}")
        if (np.diff(times) <= 0).any():
            logger.warning("%s: %s", self.path, UNORDERED)
        return {"times": np.array(times)}

    def _open(self) -> cv2.VideoCapture:
        self.close()
        options = [cv2.CAP_PROP_N_THREADS, 1]  # tracking and loading have their own
        with quiet_opencv():
            capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG, options)
        if not capture.isOpened():
            raise VideoError(f"{self.path}: {NOT_A_VIDEO}")
        self._capture = capture
        _decoding.add(self)
        return capture

    def _seek(self, index: int) -> cv2.VideoCapture:
        """Bring the decoder to where it gives frame `index` next."""
        capture = self._capture
        if capture is None and index <= MAX_DECODED:
            capture = self._open()
        if capture is None or not 0 <= index - self._next <= MAX_DECODED:
            capture = self._jump(index)
        while self._next < index and capture.grab():
            self._next += 1
        return capture

    def _jump(self, index: int) -> cv2.VideoCapture:
        """Seek to a frame not after `index`; to the first where seeking fails."""
        increase = (np.diff(self._times) > 0).all()
        capture = self._capture or self._open()
        for margin in SEEK_MARGINS if increase else ():
            if index <= margin:
                break
            # The frame that is landed on is consumed, so aim at the one before.
            capture.set(cv2.CAP_PROP_POS_FRAMES, index - 1 - margin)
            if not capture.grab():
                break
            landed = np.flatnonzero(self._times == capture.get(cv2.CAP_PROP_POS_MSEC))
            if len(landed) and landed[0] < index:
                self._next = int(landed[0]) + 1
                return capture
        return self._open()


class OpenVideos:
    """The videos below a folder; those read last stay open."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._videos: dict[str, VideoFile] = {}  # with their tables; the one read last is the last

    def read(self, path: str, index: int) -> np.ndarray:
        """Decode a frame of a video: see `VideoFile.read`; `path` is relative to the folder."""
        video = self._videos.pop(path, None) or VideoFile(self._root / path)
        self._videos[path] = video
        if len(self._videos) > MAX_OPEN:
            list(self._videos.values())[-1 - MAX_OPEN].close()
        return video.read(index)


class VideoFrame(NamedTuple):
    """One frame of a video, where a folder's frame would be a path."""

    video: VideoFile
    number: int  # from 0

    def __str__(self) -> str:
        return f"{self.video.path}, frame {self.number}"


Frame = Path | VideoFrame


def video_frames(path: Path) -> tuple[VideoFrame, ...]:
    """Name all frames of a video, which share one decoder; raises as `VideoFile.count`."""
    video = VideoFile(path)
    return tuple(VideoFrame(video, number) for number in range(video.count))


def read_frame(frame: Frame) -> np.ndarray:
    """Read a frame, (H, W, 3) uint8 RGB; ImageError: not decodable, OSError: not readable."""
    return frame.video.read(frame.number) if isinstance(frame, VideoFrame) else read_rgb(frame)


_decoding: "weakref.WeakSet[VideoFile]" = weakref.WeakSet()  # those of this process with a decoder


def _close_all() -> None:
    """Let no decoder cross a fork: its threads would stay behind."""
    for video in list(_decoding):
        video.close()


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(before=_close_all)
