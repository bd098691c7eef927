"""Write a session's labels to files that people take away: videos, tables, data sets."""

import csv
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import numpy as np

from lib.io.layouts import LAYOUTS, Clips
from lib.io.video.writer import VideoWriter
from lib.tools.video.follow import RecordWriter
from lib.tools.video.painter import Painter
from lib.tools.web.session import Session
from lib.utils.files import atomic_path

COLUMNS = ("frame", "time", "target", "x", "y", "w", "h", "score", "lost", "checked")


@dataclass(frozen=True)
class SourceFrames:
    """Images of frames `first` to `last` of a session's video, read when they are asked for."""

    session: Session
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __iter__(self) -> Iterator[np.ndarray]:
        numbers = range(self.first, self.last + 1)
        return (self.session.frame(number).image for number in numbers)


def export(session: Session, kind: str) -> Path:
    """Write a new file of a kind of `KINDS` into the session's folder, in one step.

    What is there stays: it may be the video itself, or another one's results.

    Raises:
        ValueError: nothing was tracked; no such kind. OSError: it cannot be written.
    """
    if kind not in KINDS:
        raise ValueError(f"there are {', '.join(KINDS)}; wanted: {kind!r}")
    if not session.labels.targets:
        raise ValueError("there is no box yet: draw one and track it")
    suffix, write = KINDS[kind]
    session.folder.mkdir(parents=True, exist_ok=True)
    numbered = (f"{session.name}-{number}{suffix}" for number in count(2))
    names = chain([f"{session.name}{suffix}"], numbered)
    path = next(p for p in map(session.folder.joinpath, names) if not os.path.lexists(p))
    write(session, path)
    return path


def _write_video(session: Session, path: Path) -> None:
    painter = Painter()
    assert session.source is not None  # there are targets
    with VideoWriter(path, session.source.rate) as video:
        for number in range(session.count):
            _, seconds, image = session.frame(number)
            video.write(painter.draw(image, number, session.labels.at(number)), seconds)


def _write_records(session: Session, path: Path) -> None:
    with RecordWriter(path) as records:
        for number in _labelled(session):
            records.write(number, session.seconds(number), session.labels.at(number))


def _write_table(session: Session, path: Path) -> None:
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in _labelled(session):
            seconds = round(session.seconds(number), 4)
            for state in session.labels.at(number):
                box = [round(value, 2) for value in state.box_xywh]
                score = "" if state.score is None else round(state.score, 5)
                flags = int(state.lost), int(state.score is None)
                writer.writerow([number, seconds, state.target, *box, score, *flags])


def _write_layout(session: Session, path: Path, layout: str) -> None:
    """Write a data set into a zip file, one sequence per target."""
    with tempfile.TemporaryDirectory(dir=session.folder) as folder, atomic_path(path) as temporary:
        LAYOUTS[layout](Path(folder), _clips(session, whole=layout == "COCO"))
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:  # JPEGs are small
            for file in sorted(Path(folder).rglob("*")):
                archive.write(file, file.relative_to(folder))


def _clips(session: Session, *, whole: bool) -> Clips:
    """Each target's clip, from the first frame with a box to the last; or all of the video."""
    everything = SourceFrames(session, 0, session.count - 1)
    for target in session.labels.targets:
        frames = everything
        if not whole:
            seen = [n for n, state in session.labels.track(target).items() if not state.lost]
            if not seen:
                continue
            frames = SourceFrames(session, seen[0], seen[-1])
        yield f"{session.name}-{target}", session.labels.clip(target, frames, frames.first)


def _labelled(session: Session) -> list[int]:
    tracks = [session.labels.track(target) for target in session.labels.targets]
    return sorted({number for track in tracks for number in track})


def _layout(layout: str) -> tuple[str, Callable[[Session, Path], None]]:
    slug = layout.lower().replace(" ", "-")
    return f"-{slug}.zip", lambda session, path: _write_layout(session, path, layout)


KINDS: dict[str, tuple[str, Callable[[Session, Path], None]]] = {
    "MP4 with boxes": (".mp4", _write_video),
    "JSON lines": (".jsonl", _write_records),
    "CSV": (".csv", _write_table),
    **{layout: _layout(layout) for layout in LAYOUTS},
}
