"""How sets of annotated videos are read: one folder per sequence, one box per line.

A subclass says which text files describe a sequence, how they are parsed, where its frames are.
"""

import abc
import contextlib
import logging
from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from lib.io.load_text import load_column
from lib.io.store import Store
from lib.train.dataset.base_dataset import BaseDataset, DatasetError, SequenceIndex, listed
from lib.utils.image import is_image_name

logger = logging.getLogger(__name__)

REPORT_EVERY = 2000  # sequences


class Annotation(NamedTuple):
    """One sequence of T frames."""

    boxes_xywh: np.ndarray  # (T, 4) pixels of the image
    visible: np.ndarray  # (T,) bool


class BaseVideoDataset(BaseDataset):
    """Frames named by their number in one folder per sequence, unless a subclass says otherwise."""

    is_video: ClassVar[bool] = True
    advice: ClassVar[str] = (  # where sequences cannot be used
        "is the data set extracted to the end? A sequence is left out by taking its line from the "
        "table in lib/train/data_specs, or its annotation from TrackingNet's anno folder"
    )
    whole: ClassVar[bool] = True  # one broken sequence is an error; else, it is left out

    def __init__(self, name: str, store: Store, sequences: Sequence[str]) -> None:
        """See `BaseDataset`; `sequences` are names in the set's own order."""
        self._sequences = list(sequences)
        if not self._sequences:
            raise DatasetError(f"{name}: no sequences under {store.root}")
        super().__init__(name, store)

    def frame_path(self, sequence: int, frame: int) -> str:
        return f"{self._frame_folder(self.sequence_name(sequence))}/{self._frame_name(frame)}"

    @abc.abstractmethod
    def _text_files(self, sequence: str) -> list[str]:
        """Paths of a sequence's annotation files, boxes first."""

    @abc.abstractmethod
    def _read_annotation(self, sequence: str) -> Annotation:
        """Parse a sequence's text files; raises ValueError naming what is wrong."""

    @abc.abstractmethod
    def _frame_folder(self, sequence: str) -> str:
        """Folder of a sequence's frames, in the store."""

    def _frame_name(self, frame: int) -> str:
        return f"{frame + 1:08d}.jpg"

    def _find_frames(self, sequence: str, count: int) -> Sequence[str]:
        """Paths of a sequence's frames, if not by number; ValueError if they are not `count`."""
        folder = self._frame_folder(sequence)
        root, names = self.store.root / folder, set()
        with contextlib.suppress(FileNotFoundError):
            names = {name for name in self.store.names(folder) if is_image_name(name)}
        if not names:
            raise ValueError(f"no frames in {root}")
        if len(names) != count:
            raise ValueError(f"{count} boxes, but {len(names)} frames in {root}")
        for name in (self._frame_name(0), self._frame_name(count - 1)):
            if name not in names:
                raise ValueError(f"no frame {name} in {root}")
        return ()

    def _annotation_files(self) -> Iterable[str]:
        return (path for name in self._sequences for path in self._text_files(name))

    def _build_index(self) -> SequenceIndex:
        """Read every sequence; all broken ones are named at once."""
        annotations, paths, problems = dict[str, Annotation](), list[bytes](), list[str]()
        for number, sequence in enumerate(self._sequences, 1):
            try:
                annotation = self._read_annotation(sequence)
                frames = self._find_frames(sequence, len(annotation.boxes_xywh))
            except (ValueError, OSError) as error:
                problems.append(f"{sequence}: {error}")
                continue
            annotations[sequence] = annotation
            paths += [path.encode() for path in frames]
            if number % REPORT_EVERY == 0:
                logger.info("%s: %d of %d sequences", self.name, number, len(self._sequences))
        self._report(problems, stop=self.whole or not annotations)
        with np.errstate(over="ignore"):  # a box of 1e300 is infinite then, and cannot be used
            boxes = np.concatenate([a.boxes_xywh for a in annotations.values()]).astype(np.float32)
        visible = np.concatenate([annotation.visible for annotation in annotations.values()])
        lengths = [len(annotation.visible) for annotation in annotations.values()]
        return SequenceIndex(
            names=np.array(list(annotations)),
            first=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            boxes_xywh=boxes,
            visible=visible & ~np.isinf(boxes).any(1),
            paths=np.array(paths, np.bytes_),
            sizes=np.zeros((0, 2), np.int32),
        )

    def _report(self, problems: list[str], *, stop: bool) -> None:
        """Say which sequences cannot be used: in a DatasetError, or in a note."""
        if problems:
            text = (
                f"{len(problems)} of {len(self._sequences)} sequences cannot be used "
                f"({self.advice}):{listed(problems)}"
            )
            if stop:
                raise DatasetError(f"{self.name}: {text}")
            self.notes.append(text)

    def _load_flags(self, path: str, length: int) -> np.ndarray:
        """Load one number per frame, (length,) float64; ValueError if there are more or fewer."""
        flags = load_column(path, self.store)
        if len(flags) != length:
            raise ValueError(f"{length} boxes, but {len(flags)} flags in {self.store.root / path}")
        return flags
