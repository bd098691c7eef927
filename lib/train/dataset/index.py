"""Annotations of a whole data set as a few arrays, cached on disk so that text is parsed once.

The cache is an .npz file without pickles under `.cache` beside the data (under ./.cache of the
project where the data cannot be written). It holds the stamp of the files that it was made from,
and is made anew when that differs.
"""

import hashlib
import logging
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.utils.files import atomic_write
from lib.utils.paths import PROJECT_ROOT

logger = logging.getLogger(__name__)

VERSION = 1  # of the file; raise it when the meaning of the arrays changes


class SequenceIndex(NamedTuple):
    """n sequences, T frames in all; sequence i has the frames first[i] .. first[i + 1] - 1."""

    names: np.ndarray  # (n,) str or bytes
    first: np.ndarray  # (n + 1,) int64
    boxes_xywh: np.ndarray  # (T, 4) float32 pixels of the image; may hold NaN where not visible
    visible: np.ndarray  # (T,) bool: can be trained on
    paths: np.ndarray  # (T,) bytes, frames in the store; (0,) where they follow from their number


def open_index(
    root: Path, name: str, stamp: str, build: Callable[[], SequenceIndex]
) -> SequenceIndex:
    """Load the cached index of a data set, or build and cache it.

    Args:
        root: folder or LMDB file of the data.
        name: of the data set, unique under `root`.
        stamp: what the files look like now.
        build: parses the annotations.
    """
    stamp = f"{VERSION} {stamp}"
    for path in _places(root, name):
        index = _load(path, stamp)
        if index is not None:
            return index
    logger.info("%s: reading the annotations under %s (once)", name, root)
    index = build()
    _save(_places(root, name), stamp, index)
    return index


def _places(root: Path, name: str) -> Iterator[Path]:
    """Yield where a cache may be, best first."""
    beside = root / ".cache" if root.is_dir() else root.parent / ".cache"
    yield beside / f"{root.stem}-{name}.npz"
    digest = hashlib.blake2b(str(root.resolve()).encode(), digest_size=6).hexdigest()
    yield PROJECT_ROOT / ".cache" / f"{name}-{digest}.npz"


def _load(path: Path, stamp: str) -> SequenceIndex | None:
    """Load a cache; None if there is none, it is out of date, or it is damaged."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            if str(arrays["stamp"]) != stamp:
                return None
            return SequenceIndex(*(arrays[field] for field in SequenceIndex._fields))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        logger.warning("index %s cannot be used (%s); it is made anew", path, error)
        return None


def _save(places: Iterator[Path], stamp: str, index: SequenceIndex) -> None:
    """Write the cache to the first place that takes it."""
    for path in places:
        try:
            atomic_write(path, lambda file: np.savez(file, stamp=stamp, **index._asdict()))
            return
        except OSError as error:
            logger.info("no index at %s: %s", path, error)
    logger.warning("the index could not be cached; annotations are parsed at every start")
