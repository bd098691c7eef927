"""Frames of a video file by their number: in any order for training, one by one for tracking.

    video = VideoFile("clip.mp4")
    video.count         # found by decoding the file once; headers often lie
    video.read(99)      # (H, W, 3) uint8 RGB, what reading in order gives after 99 other frames

Seeking is to key frames, and not always where it was asked for. Here the times of all frames are
cached; the frame that a seek lands on is found by its time, and those up to the wanted one are
decoded. Neighbours: video/decoding.py decodes, video/writer.py writes.
"""

import functools
import logging
import os
import weakref
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.cli.progress import progress
from lib.io.array_cache import cached_arrays
from lib.io.video.codecs import Decoder, VideoError
from lib.io.video.decoding import open_decoder
from lib.io.video.end import missing_end
from lib.io.video.with_pyav import load_pyav
from lib.utils.image import ImageError, read_rgb

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"})
MAX_DECODED = 32  # frames ahead that are decoded rather than jumped over
MAX_OPEN = 4  # decoders that a training process keeps; one of 1080p takes some 50 MB
SEEK_MARGINS = (0, 16, 64, 256)  # frames before the wanted one that seeking aims at, in turn
NO_FRAME = "opens, but gives no frame (broken, or in a codec that cannot be read)"
UNORDERED = (
    "the times of its frames do not increase, so that every jump decodes it from the start; for "
    "training, turn it into a folder of images"
)


def is_video_name(name: str) -> bool:
    """True for a file name that ends like a video."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES


class VideoFile:
    """A video that each process opens when it first reads it.

    Holds one decoder at most, whatever the length; reading the last frame releases it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._decoder: Decoder | None = None
        self._at = -1  # number of the frame that the decoder holds

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_decoder": None, "_at": -1}

    @property
    def count(self) -> int:
        """Number of frames that can be decoded; the first time, the whole file is.

        FileNotFoundError: no such file. VideoError: not a video, or without frames.
        """
        return len(self._times)

    def read(self, index: int) -> np.ndarray:
        """Decode a frame, counted from 0: (H, W, 3) uint8 RGB, turned as the file says.

        IndexError: there is no such frame. ImageError: it cannot be decoded. Others: see `count`.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"{self.path} has the frames 0 to {self.count - 1}; wanted: {index}")
        decoder = self._seek(index)
        if self._at != index:
            self.close()
            raise ImageError(f"{self.path}: frame {index} cannot be decoded")
        image = decoder.image()
        if index == self.count - 1:
            self.close()
        return image

    def seconds(self, index: int) -> float:
        """Time of a frame, as the file says it. Raises as `count`."""
        return float(self._times[index])

    def close(self) -> None:
        """Release the decoder; the next reading opens it again."""
        if self._decoder is not None:
            self._decoder.close()
        self._decoder, self._at = None, -1
        _decoding.discard(self)

    @functools.cached_property
    def _times(self) -> np.ndarray:
        """Time of every frame, (T,) float64 seconds."""
        status = os.stat(self.path)
        reader = "OpenCV" if load_pyav() is None else "PyAV"  # they may count and time otherwise
        stamp = f"{status.st_mtime_ns} {status.st_size} {reader}"
        name = f"{self.path.suffix[1:]}-times"
        return cached_arrays(self.path, name, stamp, ["times"], self._read_times)["times"]

    def _read_times(self) -> dict[str, np.ndarray]:
        logger.info("%s: counting the frames (once)", self.path)
        with self._open() as decoder:
            what = f"counting the frames of {self.path.name}, once"
            times = list(progress(iter(decoder.grab, None), what))
            problem = missing_end(self.path) or decoder.problem
        self.close()
        if not times:
            raise VideoError(f"{self.path}: {problem or NO_FRAME}")
        if problem:
            logger.warning("%s: %d frames can be read; %s", self.path, len(times), problem)
        if (np.diff(times) <= 0).any():
            logger.warning("%s: %s", self.path, UNORDERED)
        return {"times": np.array(times)}

    def _open(self) -> Decoder:
        self.close()
        self._decoder = open_decoder(self.path)
        _decoding.add(self)
        return self._decoder

    def _seek(self, index: int) -> Decoder:
        """Bring the decoder to frame `index`."""
        decoder = self._decoder
        if decoder is None and index <= MAX_DECODED:
            decoder = self._open()
        if decoder is None or not 0 <= index - self._at <= MAX_DECODED:
            decoder = self._jump(index)
        while self._at < index and decoder.grab() is not None:
            self._at += 1
        return decoder

    def _jump(self, index: int) -> Decoder:
        """Seek to a frame not after `index`; to before the first where seeking fails."""
        increase = (np.diff(self._times) > 0).all()
        decoder = self._decoder or self._open()
        for margin in SEEK_MARGINS if increase else ():
            if index <= margin:
                break
            decoder.seek(index - margin, self._times[index - margin])
            landed = np.flatnonzero(self._times == decoder.grab())
            if len(landed) and landed[0] <= index:
                self._at = int(landed[0])
                return decoder
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
