"""What people look at: a video with boxes, and a sheet of frames on one page.

Frames are (H, W, 3) uint8 RGB everywhere; the colour order turns only at the writer.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from lib.io.video_file import quiet_opencv
from lib.utils.files import TemporaryOutput, atomic_write
from lib.utils.image import encode_rgb

logger = logging.getLogger(__name__)


class VideoWriter:
    """An MP4 written frame by frame; it appears under its name, whole, when it is closed.

    Leaving its block closes it, even by an exception; nothing appears where no frame was written.
    """

    FALLBACK = "mp4v"  # MPEG-4 part 2: the one that every OpenCV with FFmpeg can write

    def __init__(self, path: Path, fps: float = 25, codec: str = FALLBACK) -> None:
        """Make the temporary file beside `path`.

        Args:
            codec: `FALLBACK` replaces one that this OpenCV cannot write, with a warning.

        Raises:
            ValueError: not the name of an MP4 or of a codec. OSError: cannot write there.
        """
        if path.suffix.lower() != ".mp4" or path.is_dir():
            raise ValueError(f"a video is written as MP4: a file name with .mp4; given: {path}")
        if len(codec) != 4 or not codec.isascii():
            raise ValueError(f"a codec is four characters, such as mp4v; given: {codec!r}")
        self.path, self.fps, self.codec, self.count = path, fps, codec, 0
        self._size: tuple[int, ...] = ()
        self._writer: cv2.VideoWriter | None = None
        self._output = TemporaryOutput(path)
        # OpenCV chooses the container by the name.
        self._file = self._output.temporary.with_suffix(".mp4")

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, frame: np.ndarray) -> None:
        """Add a frame; OSError where OpenCV cannot write MP4, ValueError for another size."""
        if self._writer is None:
            self._size, self._writer = frame.shape, self._open(frame.shape[1], frame.shape[0])
        if frame.shape != self._size:
            raise ValueError(
                f"{self.path}: frame {self.count} is {frame.shape}, the first is {self._size}"
            )
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        self.count += 1

    def close(self) -> None:
        """Finish the file and put it under its name, once; OSError if the disk is full."""
        if self._output.done:
            return
        if self._writer is None or not self.count:
            return self.discard()
        self._writer.release()
        written = cv2.VideoCapture(str(self._file))
        if not written.isOpened() or written.get(cv2.CAP_PROP_FRAME_COUNT) != self.count:
            self.discard()
            raise OSError(f"{self.path}: the video could not be written whole; is the disk full?")
        self._file.replace(self._output.temporary)
        self._output.keep()

    def discard(self) -> None:
        """Remove what was written; what stood under the name stays."""
        if self._writer is not None:
            self._writer.release()
        self._file.unlink(missing_ok=True)
        self._output.discard()

    def _open(self, width: int, height: int) -> cv2.VideoWriter:
        for codec in dict.fromkeys((self.codec, self.FALLBACK)):
            code = cv2.VideoWriter.fourcc(*codec)
            with quiet_opencv():
                writer = cv2.VideoWriter(str(self._file), code, self.fps, (width, height))
            if writer.isOpened():
                if codec != self.codec:
                    logger.warning("no codec %s in this OpenCV: using %s", self.codec, codec)
                    self.codec = codec
                return writer
        raise OSError(f"{self.path}: OpenCV {cv2.__version__} cannot write MP4 here")


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float = 25) -> None:
    """Write an MP4 of frames of one size; nothing appears if one fails. Raises as `VideoWriter`,
    and ValueError if there is no frame."""
    writer = VideoWriter(path, fps)
    try:
        for frame in frames:
            writer.write(frame)
        if not writer.count:
            raise ValueError(f"{path}: a video needs a frame")
        writer.close()
    finally:
        writer.discard()  # does nothing to what is whole


def write_contact_sheet(path: Path, rows: list[list[np.ndarray]], width: int = 240) -> None:
    """Write frames as a PNG, one list per row, each scaled to `width` pixels."""
    tiles = [[_resize(frame, width) for frame in row] for row in rows]
    height = max(tile.shape[0] for row in tiles for tile in row) + 4
    columns = max(len(row) for row in tiles)
    sheet = np.full((len(tiles), height, columns, width + 4, 3), 255, np.uint8)
    for i, row in enumerate(tiles):
        for j, tile in enumerate(row):
            sheet[i, : tile.shape[0], j, :width] = tile
    write_picture(path, sheet.reshape(len(tiles) * height, columns * (width + 4), 3))


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 RGB image as a PNG, in one step."""
    atomic_write(path, lambda file: file.write(encode_rgb(image, ".png")))


def _resize(frame: np.ndarray, width: int) -> np.ndarray:
    height = round(frame.shape[0] * width / frame.shape[1])
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
