"""What decodes and encodes videos, whichever library does it: with_pyav.py or with_opencv.py."""

import abc
from pathlib import Path
from typing import Protocol

import numpy as np

from lib.utils.files import TemporaryOutput

TIMEOUT = 10  # seconds to wait for a stream


class VideoError(OSError):
    """A video that cannot be read at all; the message names it."""


class Decoder(abc.ABC):
    """Frames in the order of their times. Close it, or use it in a `with` block."""

    rate: float  # mean frames a second; 0 where the file does not say
    length: int  # frames, estimated from what the headers say; 0 where they say nothing
    problem = ""  # why frames are missing; empty: none that the decoder knows of

    @abc.abstractmethod
    def grab(self) -> float | None:
        """Decode the next frame and return its time in seconds; None after the last."""

    @abc.abstractmethod
    def image(self) -> np.ndarray:
        """Return the frame of the last `grab`: (H, W, 3) uint8 RGB, turned as the file says."""

    @abc.abstractmethod
    def seek(self, number: int, seconds: float) -> None:
        """Go to about a frame that has this number and time; a `grab` says where it landed."""

    @abc.abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Encoder(Protocol):
    """Writes frames of one size to a temporary file."""

    def write(self, rgb: np.ndarray, seconds: float) -> None: ...

    def finish(self, output: TemporaryOutput, count: int) -> None:
        """Put the video of `count` frames in its place; OSError: see `VideoWriter.close`."""

    def release(self) -> None:
        """Let go of the file; once more does no harm."""


def not_a_video(source: Path | str | int, reader: str) -> str:
    if isinstance(source, int):
        return f"camera {source}: there is no such camera, or another program has it"
    if isinstance(source, str):
        return f"{source}: the stream does not answer, or is none that {reader} can read"
    kinds = "another kind of file, truncated, or in an unknown codec"
    return f"{source}: not a video that {reader} can read: {kinds}"
