"""A camera or stream whose frames are kept as images, so that one can go back to them."""

from collections.abc import Iterator
from pathlib import Path

from lib.io.layouts import write_image
from lib.io.video.sources import Frame, FrameSource
from lib.utils.image import read_rgb


class Recording(FrameSource):
    """Frames that came so far can be read in any order; walking on goes over into what comes."""

    def __init__(self, live: FrameSource, folder: Path) -> None:
        """live: a source that can be read once. folder: for its images, about 100 KB a frame."""
        super().__init__(live.name, live.rate, None)
        self._frames, self._live, self._folder = iter(live), live, folder
        self._seconds: list[float] = []
        self._keep(next(self._frames))

    def __iter__(self) -> Iterator[Frame]:
        return self.walk(0)

    @property
    def count(self) -> int:
        return len(self._seconds)

    def walk(self, start: int | None = None, *, backwards: bool = False) -> Iterator[Frame]:
        """See `FrameSource.walk`; forwards it ends when the camera does."""
        if backwards:
            yield from super().walk(start, backwards=True)
            return
        for number in range(start or 0, self.count):
            yield self.read(number)
        yield from map(self._keep, self._frames)

    def seconds(self, number: int) -> float:
        return self._seconds[number]

    def release(self) -> None:
        """Close the camera; its images stay."""
        self._live.__exit__()

    def _read(self, number: int) -> Frame:
        return Frame(number, self._seconds[number], read_rgb(self._path(number)))

    def _keep(self, frame: Frame) -> Frame:
        frame = frame._replace(number=self.count)
        write_image(self._path(frame.number), frame.image)
        self._seconds.append(frame.seconds)
        return frame

    def _path(self, number: int) -> Path:
        return self._folder / f"{number + 1:08d}.jpg"
