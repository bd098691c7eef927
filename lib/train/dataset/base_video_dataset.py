"""What every training set offers the sampler, and how sets of annotated videos are read.

A subclass says which sequences there are, which text files describe each, and how its frames are
named; reading them into an index, checking it and caching it is done here. Data sets know the store
that they read from and boxes, nothing of sampling.
"""

import abc
import logging
from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from lib.io.load_text import load_column
from lib.io.store import Store
from lib.train.dataset.index import SequenceIndex, open_index
from lib.utils.image import is_image_name

logger = logging.getLogger(__name__)

SHOWN = 5  # problems listed in an error
REPORT_EVERY = 2000  # sequences


class DatasetError(ValueError):
    """Annotations or frames that do not fit together; names the data set and the sequences."""


class Annotation(NamedTuple):
    """One sequence of T frames."""

    boxes_xywh: np.ndarray  # (T, 4) pixels of the image
    visible: np.ndarray  # (T,) bool


class FrameFiles(NamedTuple):
    """Where a sequence's frames are."""

    folder: str  # "": the root
    names: Sequence[str]  # in temporal order, one a frame

    @property
    def paths(self) -> list[str]:
        """Path of each frame in the store."""
        return [f"{self.folder}/{name}" if self.folder else name for name in self.names]


class BaseDataset(abc.ABC):
    """Sequences of frames with a box each. An image set is one of sequences of one frame."""

    is_video: ClassVar[bool]

    def __init__(self, name: str, store: Store) -> None:
        """Open or build the index.

        Args:
            name: as in a recipe's DATASETS_NAME; messages and the cache carry it.
            store: the data set's folder or LMDB file.

        Raises:
            FileNotFoundError: a file is missing.
            DatasetError: sequences without frames, or with annotations of another length.
        """
        self.name = name
        self.store = store
        stamp = store.stamp(self._annotation_files())
        self._index = open_index(store.root, name, stamp, self._build_index)
        first = self._index.first
        self.lengths = np.diff(first)  # (n,) frames of each sequence
        counted = np.concatenate([[0], np.cumsum(self._index.visible)])
        self.visible_counts = np.diff(counted[first])  # (n,) visible frames of each sequence

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.lengths)

    def sequence_name(self, sequence: int) -> str:
        """Name of a sequence."""
        name = self._index.names[sequence]
        return name.decode() if isinstance(name, bytes) else str(name)

    def boxes(self, sequence: int) -> np.ndarray:
        """Boxes of a sequence, (T, 4) float64 xywh in pixels of the image."""
        return self._index.boxes_xywh[self._span(sequence)].astype(np.float64)

    def visible(self, sequence: int) -> np.ndarray:
        """Which frames of a sequence can be trained on, (T,) bool."""
        return self._index.visible[self._span(sequence)]

    def read_frame(self, sequence: int, frame: int) -> np.ndarray:
        """Read a frame, counted from 0: (H, W, 3) uint8 RGB.

        Raises:
            ImageError: it cannot be decoded. OSError: it cannot be read.
        """
        return self.store.read_image(self.frame_path(sequence, frame))

    @abc.abstractmethod
    def frame_path(self, sequence: int, frame: int) -> str:
        """Path of a frame, counted from 0, in the store."""

    @abc.abstractmethod
    def _annotation_files(self) -> Iterable[str]:
        """Paths that the index is made from."""

    @abc.abstractmethod
    def _build_index(self) -> SequenceIndex:
        """Parse all annotations."""

    def _span(self, sequence: int) -> slice:
        return slice(self._index.first[sequence], self._index.first[sequence + 1])

    def _stored_path(self, sequence: int, frame: int) -> str:
        """Path of a frame, where the index holds it."""
        return self._index.paths[self._index.first[sequence] + frame].decode()


class BaseVideoDataset(BaseDataset):
    """A folder a sequence, a box a line."""

    is_video = True
    keeps_paths: ClassVar[bool] = False  # whether frames' names do not follow from their number
    advice: ClassVar[str] = (  # where sequences cannot be used
        "is the data set extracted to the end? A sequence is left out by taking its line from the "
        "table in lib/train/data_specs, or its annotation from TrackingNet's anno folder"
    )

    def __init__(self, name: str, store: Store, sequences: Sequence[str]) -> None:
        """See `BaseDataset`.

        Args:
            sequences: names, in the set's own order.
        """
        self._sequences = list(sequences)
        if not self._sequences:
            raise DatasetError(f"{name}: no sequences under {store.root}")
        super().__init__(name, store)

    @abc.abstractmethod
    def _text_files(self, sequence: str) -> list[str]:
        """Paths of a sequence's annotation files, boxes first."""

    @abc.abstractmethod
    def _read_annotation(self, sequence: str) -> Annotation:
        """Parse a sequence's text files; raises ValueError naming what is wrong."""

    @abc.abstractmethod
    def _frame_files(self, sequence: str, length: int) -> FrameFiles:
        """Where the frames of a sequence of `length` boxes should be."""

    def _annotation_files(self) -> Iterable[str]:
        return (path for name in self._sequences for path in self._text_files(name))

    def _build_index(self) -> SequenceIndex:
        """Read every sequence; all that are broken are told at once."""
        annotations, paths, problems = [], [], []
        for number, sequence in enumerate(self._sequences, 1):
            try:
                annotation = self._read_annotation(sequence)
                frames = self._frame_files(sequence, len(annotation.boxes_xywh))
                self._check_frames(frames, len(annotation.boxes_xywh))
            except (ValueError, FileNotFoundError) as error:
                problems.append(f"{sequence}: {error}")
                continue
            annotations.append(annotation)
            if self.keeps_paths:
                paths += [path.encode() for path in frames.paths]
            if number % REPORT_EVERY == 0:
                logger.info("%s: %d of %d sequences", self.name, number, len(self._sequences))
        if problems:
            raise DatasetError(self._tell(problems))
        lengths = [len(annotation.visible) for annotation in annotations]
        return SequenceIndex(
            names=np.array(self._sequences),
            first=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            boxes_xywh=np.concatenate([a.boxes_xywh for a in annotations]).astype(np.float32),
            visible=np.concatenate([a.visible for a in annotations]),
            paths=np.array(paths, np.bytes_),
        )

    def _check_frames(self, frames: FrameFiles, boxes: int) -> None:
        """Compare the frames that are there with the boxes; raises ValueError."""
        try:
            there = {name for name in self.store.names(frames.folder) if is_image_name(name)}
        except FileNotFoundError:
            there = set()
        place = self.store.root / frames.folder
        if not there:
            raise ValueError(f"no frames in {place}")
        if len(there) != boxes:
            raise ValueError(f"{boxes} boxes, but {len(there)} frames in {place}")
        for name in (frames.names[0], frames.names[-1]):
            if name not in there:
                raise ValueError(f"no frame {name} in {place}")

    def _load_flags(self, path: str, length: int) -> np.ndarray:
        """Load one number per frame, (length,) float64; ValueError if there are more or fewer."""
        flags = load_column(path, self.store)
        if len(flags) != length:
            raise ValueError(f"{length} boxes, but {len(flags)} flags in {self.store.root / path}")
        return flags

    def _tell(self, problems: list[str]) -> str:
        """Describe what is wrong with how many sequences."""
        more = len(problems) - SHOWN
        lines = problems[:SHOWN] + ([f"... and {more} more"] if more > 0 else [])
        return (
            f"{self.name}: {len(problems)} of {len(self._sequences)} sequences cannot be used "
            f"({self.advice}):\n  " + "\n  ".join(lines)
        )
