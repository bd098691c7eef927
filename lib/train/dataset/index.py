"""Annotations of a whole data set as a few arrays, cached on disk so that text is parsed once.

Where the cache lies and when it is made anew is lib/io/array_cache.py's to say.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.io.array_cache import cached_arrays

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

    def arrays() -> dict[str, np.ndarray]:
        logger.info("%s: reading the annotations under %s (once)", name, root)
        return build()._asdict()

    made = cached_arrays(root, name, f"{VERSION} {stamp}", SequenceIndex._fields, arrays)
    return SequenceIndex(**made)
