"""Write a video as MP4: H.264 that browsers and phones play, by PyAV; by OpenCV without it.

    with VideoWriter(Path("out.mp4"), rate=25) as video:
        video.write(frame, seconds)  # (H, W, 3) uint8 RGB

Frames go to a temporary file in fragments, so that whatever stops the writing, all but the last
second or two can be played. Closing makes an ordinary MP4 of it, its index in front.
"""

import logging
from pathlib import Path

import cv2
import numpy as np

from lib.io.video.codecs import Encoder
from lib.io.video.pyav_encoder import PyAvEncoder
from lib.io.video.with_opencv import OpenCvEncoder
from lib.io.video.with_pyav import load_pyav
from lib.utils.files import TemporaryOutput

logger = logging.getLogger(__name__)


class VideoWriter:
    """An MP4 written frame by frame; it appears under its name when it is closed.

    Leaving its block closes it, even by an exception; nothing appears where no frame was written.
    """

    CODEC, FALLBACK = "avc1", "mp4v"  # with PyAV; what every OpenCV with FFmpeg can write

    def __init__(self, path: Path, rate: float = 25, codec: str | None = None) -> None:
        """Make the temporary file beside `path`.

        Args:
            rate: frames a second.
            codec: four characters; None takes H.264 where PyAV is installed. One that cannot be
                written here is replaced, with a warning.

        Raises:
            ValueError: not the name of an MP4 or of a codec. OSError: cannot write there.
        """
        if path.suffix.lower() != ".mp4" or path.is_dir():
            raise ValueError(f"a video is written as MP4: a file name with .mp4; given: {path}")
        if codec is not None and (len(codec) != 4 or not codec.isascii()):
            raise ValueError(f"a codec is four characters, such as avc1; given: {codec!r}")
        self.path, self.rate, self.codec, self.count = path, rate, codec, 0
        self._size: tuple[int, ...] = ()
        self._encoder: Encoder | None = None
        self._output = TemporaryOutput(path)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            self.close()
        except OSError as error:
            if kind is None:
                raise
            logger.warning("%s", error)  # the one that is on its way tells more

    def write(self, frame: np.ndarray, seconds: float | None = None) -> None:
        """Add an (H, W, 3) uint8 RGB frame.

        Args:
            seconds: when it is shown, after the first; None: by the rate, as OpenCV always has it.

        Raises:
            ValueError: another size than the first. OSError: it cannot be written; `close` keeps
                what was written before.
        """
        if self._encoder is None:
            self._size, self._encoder = frame.shape, self._open(frame.shape[1], frame.shape[0])
        if frame.shape != self._size:
            raise ValueError(
                f"{self.path}: frame {self.count} is {frame.shape}, the first is {self._size}"
            )
        try:
            self._encoder.write(frame, self.count / self.rate if seconds is None else seconds)
        except OSError as error:
            raise OSError(f"cannot write {self.path}: {error.strerror}") from error
        self.count += 1

    def close(self) -> None:
        """Finish the file and put it under its name, once.

        Raises:
            OSError: it is not whole, as on a full disk; says what is left of it.
        """
        if self._output.done:
            return
        try:
            if self._encoder is not None and self.count:
                self._encoder.finish(self._output, self.count)
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what was written; what stood under the name stays."""
        if self._encoder is not None:
            self._encoder.release()
        self._output.discard()

    def _open(self, width: int, height: int) -> Encoder:
        make: type[PyAvEncoder] | type[OpenCvEncoder] = OpenCvEncoder
        default = self.FALLBACK
        if load_pyav() is not None:
            make, default = PyAvEncoder, self.CODEC
        for codec in dict.fromkeys((self.codec or default, default)):
            try:
                encoder = make(self._output.temporary, self.rate, codec, (width, height))
            except LookupError:
                continue
            if codec != (self.codec or codec):
                logger.warning("no codec %s here: using %s", self.codec, codec)
            self.codec = codec
            return encoder
        raise OSError(f"{self.path}: OpenCV {cv2.__version__} cannot write MP4 here")
