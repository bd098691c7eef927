"""Arrays that take long to compute, cached on disk beside the data that they follow from.

The cache is an .npz file without pickles under `.cache` beside the data (under ./.cache of the
project where the data cannot be written). It holds a stamp of the data, and is rebuilt when that
differs. Used by lib/train/dataset/base_dataset.py and lib/io/video_file.py.
"""

import hashlib
import logging
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lib.utils.files import atomic_write
from lib.utils.paths import PROJECT_ROOT

logger = logging.getLogger(__name__)

Arrays = Mapping[str, np.ndarray]


def cached_arrays(
    data: Path,
    name: str,
    stamp: str,
    fields: Iterable[str],
    build: Callable[[], Arrays],
    keep: Callable[[], bool] = lambda: True,
) -> Arrays:
    """Load arrays called `fields` that follow from data, or build and cache them.

    Args:
        data: the folder or file that they are made from.
        name: of the cache, unique beside `data`.
        stamp: changes when the data do, see `lib.io.store.Store.stamp`.
        keep: whether to cache what was built; asked afterwards.
    """
    paths = cache_paths(data, name)
    for path in paths:
        if (cached := _load(path, stamp, fields)) is not None:
            return cached
    arrays = build()
    if keep():
        _save(paths, stamp, arrays)
    return arrays


def cache_paths(data: Path, name: str) -> tuple[Path, Path]:
    """Where a cache may be, best first: beside the data, in the project."""
    beside = data / ".cache" if data.is_dir() else data.parent / ".cache"
    digest = hashlib.blake2b(str(data.resolve()).encode(), digest_size=6).hexdigest()
    in_project = PROJECT_ROOT / ".cache" / f"{name}-{digest}.npz"
    return beside / f"{data.stem}-{name}.npz", in_project


def _load(path: Path, stamp: str, fields: Iterable[str]) -> Arrays | None:
    """Load a cache; None if there is none, it is out of date, or it is damaged."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            if str(arrays["stamp"]) != stamp:
                return None
            return {field: arrays[field] for field in fields}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        logger.warning("cache %s cannot be used (%s); it is made anew", path, error)
        return None


def _save(paths: tuple[Path, ...], stamp: str, arrays: Arrays) -> None:
    """Write the cache to the first path that can be written."""
    contents: dict[str, Any] = {"stamp": stamp, **arrays}
    for path in paths:
        try:
            return atomic_write(path, lambda file: np.savez(file, **contents))
        except OSError as error:
            logger.info("no cache at %s: %s", path, error)
    logger.warning("%s could not be cached; it is made anew at every start", paths[0])
