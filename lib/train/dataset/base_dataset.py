"""What every training set offers the sampler: sequences of frames with a box each.

The annotations of a whole set are an index of a few arrays, cached on disk (lib/io/array_cache.py)
so that text is parsed once. Data sets know boxes and their store, nothing of sampling.
"""

import abc
import logging
import textwrap
from collections.abc import Collection, Iterable, Mapping
from typing import ClassVar, NamedTuple

import numpy as np

from lib.io.array_cache import cached_arrays
from lib.io.store import Store
from lib.utils.messages import list_problems

logger = logging.getLogger(__name__)

MAX_LISTED = 5  # problems in a message
INDEX_VERSION = 3  # of the cached file; raise it when the meaning of the arrays changes


def listed(problems: list[str]) -> str:
    """The first problems for a message, one a line, and a file that has all if they are more."""
    return textwrap.indent(f"\n{list_problems(problems, MAX_LISTED)}", "  ")


class DatasetError(ValueError):
    """Annotations or frames that do not fit together; names the data set and the sequences."""


class SequenceIndex(NamedTuple):
    """n sequences, T frames in all; sequence i has the frames first[i] .. first[i + 1] - 1."""

    names: np.ndarray  # (n,) str or bytes
    first: np.ndarray  # (n + 1,) int64
    boxes_xywh: np.ndarray  # (T, 4) float32 pixels of the image; may hold NaN where not visible
    visible: np.ndarray  # (T,) bool: can be trained on
    paths: np.ndarray  # (T,) bytes, frames in the store; (0,) where they follow from their number
    sizes: np.ndarray  # (T, 2) int32 width and height of frames; (0, 2) where the set states none


class BaseDataset(abc.ABC):
    """Sequences of frames with a box each. An image set is one of sequences of one frame."""

    is_video: ClassVar[bool]

    def __init__(self, name: str, store: Store) -> None:
        """Open the index, or build and cache it.

        An index that something was left out of is not cached: `notes` say so at every start, until
        the data are mended.

        Args:
            name: as in a recipe's DATASETS_NAME; messages and the cache carry it.

        Raises:
            FileNotFoundError: a file of the whole set is missing.
            DatasetError: sequences without frames, or with annotations of another length.
        """
        self.name = name
        self.store = store
        self.notes: list[str] = []  # what is left out of the set, and why
        stamp = f"{INDEX_VERSION} {store.stamp(self._annotation_files())}"
        fields = SequenceIndex._fields
        build, whole = self._parse_annotations, lambda: not self.notes
        self._index = SequenceIndex(**cached_arrays(store.root, name, stamp, fields, build, whole))
        for note in self.notes:
            logger.warning("%s: %s", name, note)
        self.lengths = np.diff(self._index.first)  # (n,) frames of each sequence
        visible_before = np.concatenate([[0], np.cumsum(self._index.visible)])
        self.visible_counts = np.diff(visible_before[self._index.first])  # (n,) visible ones

    def __len__(self) -> int:
        return len(self.lengths)

    def sequence_name(self, sequence: int) -> str:
        name = self._index.names[sequence]
        return name.decode() if isinstance(name, bytes) else str(name)

    @property
    def first_frames(self) -> list[str]:
        """Path of each sequence's first frame in the store: it tells sequences apart."""
        return [self.frame_path(sequence, 0) for sequence in range(len(self))]

    def leave_out(self, first_frames: Collection[str]) -> int:
        """Let no frame of these sequences count as visible; returns how many there are."""
        own = self.first_frames if first_frames else []
        found = [i for i, path in enumerate(own) if path in first_frames]
        self.visible_counts[found] = 0
        return len(found)

    def boxes(self, sequence: int) -> np.ndarray:
        """Boxes of a sequence, (T, 4) float64 xywh in pixels of the image."""
        return self._index.boxes_xywh[self._span(sequence)].astype(np.float64)

    def visible(self, sequence: int) -> np.ndarray:
        """Which frames of a sequence can be trained on, (T,) bool."""
        return self._index.visible[self._span(sequence)]

    def read_frame(self, sequence: int, frame: int) -> np.ndarray:
        """Read a frame, counted from 0: (H, W, 3) uint8 RGB; raises ImageError, OSError."""
        return self.store.read_image(self.frame_path(sequence, frame))

    def frame_path(self, sequence: int, frame: int) -> str:
        """Path of a frame, counted from 0, in the store; here the one that the index holds."""
        return self._index.paths[self._index.first[sequence] + frame].decode()

    @abc.abstractmethod
    def _annotation_files(self) -> Iterable[str]:
        """Paths that the index is made from."""

    @abc.abstractmethod
    def _build_index(self) -> SequenceIndex:
        """Parse all annotations."""

    def _parse_annotations(self) -> Mapping[str, np.ndarray]:
        logger.info("%s: reading the annotations under %s (once)", self.name, self.store.root)
        return self._build_index()._asdict()

    def _span(self, sequence: int) -> slice:
        return slice(self._index.first[sequence], self._index.first[sequence + 1])
