"""One way to read the files of a data set, whether in a folder or packed in one LMDB file.

    store = open_store("data/LaSOT")         # or open_store("data/LaSOT.lmdb")
    store.read_text("car/car-1/groundtruth.txt")

Paths are relative and use "/". An LMDB file holds the same bytes under the same paths, so whatever
reads a folder reads the packed copy; `tracking/make_lmdb.py` makes it with `pack_lmdb`. Names that
are hidden or a system's (listing.py: caches, leftovers) are neither listed nor packed.
"""

import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lib.io.listing import decode_text, is_listed, list_folder
from lib.utils.files import atomic_path, read_regular
from lib.utils.image import decode_rgb

logger = logging.getLogger(__name__)

LMDB_SUFFIX = ".lmdb"
MAX_KEY = 511  # bytes: LMDB's limit as it is usually compiled
PAGE = 4096
FLUSH_AFTER = 256 * 2**20  # bytes per transaction


class Store(Protocol):
    """Files by relative path."""

    root: Path  # the folder or LMDB file

    def read_bytes(self, path: str) -> bytes:
        """Return a file's content; FileNotFoundError if there is none."""

    def names(self, folder: str) -> list[str]:
        """Return a folder's sorted entries, "" is the root; FileNotFoundError if there is none."""

    def stamp(self, paths: Iterable[str]) -> str:
        """Return a text that changes when one of these files does, appears or disappears."""

    def read_text(self, path: str) -> str:
        """Return a text file as `lib.io.listing.decode_text`; ValueError names what is no text."""
        return decode_text(self.read_bytes(path), self.root / path)

    def read_image(self, path: str, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return an image, (H, W, 3) uint8 RGB; `size` and errors as `lib.utils.image.read_rgb`."""
        return decode_rgb(self.read_bytes(path), self.root / path, size)


class FolderStore(Store):
    """Files of a folder."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._prefix = f"{self.root}{os.sep}"
        if not self.root.is_dir():
            raise FileNotFoundError(f"no folder {self.root}")

    def read_bytes(self, path: str) -> bytes:
        return read_regular(self._prefix + path)

    def names(self, folder: str) -> list[str]:
        return list_folder(self._prefix + folder)

    def stamp(self, paths: Iterable[str]) -> str:
        """See `Store`: a hash of paths, sizes and times of change."""
        digest = hashlib.blake2b(digest_size=16)
        for path in paths:
            digest.update(f"{path}\0".encode())
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                status = os.stat(self._prefix + path)
                digest.update(f"{status.st_mtime_ns}\0{status.st_size}\n".encode())
        return digest.hexdigest()


class LmdbStore(Store):
    """Files packed by `pack_lmdb`; each process opens it when it first reads."""

    def __init__(self, path: str | Path) -> None:
        self.root = Path(path)
        if not self.root.exists():
            raise FileNotFoundError(f"no LMDB file {self.root}")

    def read_bytes(self, path: str) -> bytes:
        with self._transaction() as transaction:
            content = transaction.get(path.encode())
        if content is None:
            raise FileNotFoundError(f"{self.root} holds no {path!r}")
        return content

    def names(self, folder: str) -> list[str]:
        prefix = f"{folder}/".encode() if folder else b""
        names = []
        with self._transaction() as transaction, transaction.cursor() as cursor:
            more = cursor.set_range(prefix)
            while more and cursor.key().startswith(prefix):
                name, slash, _ = cursor.key()[len(prefix) :].partition(b"/")
                names.append(name.decode())
                # "0" is the character after "/": jump over everything in this folder.
                more = cursor.set_range(prefix + name + b"0") if slash else cursor.next()
        if not names:
            raise FileNotFoundError(f"{self.root} holds no folder {folder!r}")
        return sorted(filter(is_listed, set(names)))

    def stamp(self, paths: Iterable[str]) -> str:
        """See `Store`: packed files change only with the file that holds them."""
        status = _data_file(self.root).stat()
        return f"{status.st_mtime_ns} {status.st_size}"

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Any]:
        """Read; OSError names a file that is damaged. LMDB allows one environment a process."""
        path = str(self.root.absolute())
        try:
            if path not in _environments:
                _environments[path] = _open_lmdb(self.root)
            with _environments[path].begin() as transaction:
                yield transaction
        except _import_lmdb().Error as error:
            raise OSError(f"{self.root}: not an LMDB file, or a damaged one ({error})") from None


def _data_file(path: Path) -> Path:
    return path / "data.mdb" if path.is_dir() else path


def _open_lmdb(path: Path) -> Any:
    """Open a file to read; OSError if it ends before its last page, which nobody could read."""
    settings = {"readonly": True, "lock": False, "readahead": False, "meminit": False}
    environment = _import_lmdb().open(str(path.absolute()), subdir=path.is_dir(), **settings)
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if (size := _data_file(path).stat().st_size) < needed:
        environment.close()
        cut = f"it has {size} of {needed} bytes"
        raise OSError(f"{path}: the LMDB file is cut short ({cut}); copy or pack it again")
    return environment


def open_store(path: str | Path) -> Store:
    """Open a folder, an LMDB file or a folder with `data.mdb`; FileNotFoundError: none is there."""
    path = Path(path)
    if path.is_file() or (path / "data.mdb").is_file():
        return LmdbStore(path)
    return FolderStore(path)


def packed_path(folder: Path) -> Path:
    """The usual path of a folder's packed copy: beside it."""
    return folder.with_name(folder.name + LMDB_SUFFIX)


def pack_lmdb(folder: Path, target: Path, *, progress: Callable[[int], None]) -> int:
    """Pack a folder into one LMDB file that appears whole or not at all; return how many files.

    `target`, usually `packed_path(folder)`, is replaced if it exists; `progress` is called with the
    bytes of each file. FileNotFoundError: no such folder, or no file in it. ValueError: a path too
    long for a key.
    """
    paths = sorted(_walk(folder), key=str.encode)
    if not paths:
        raise FileNotFoundError(f"no files in {folder}")
    if too_long := [path for path in paths if len(path.encode()) > MAX_KEY]:
        raise ValueError(f"{too_long[0]}: a path of more than {MAX_KEY} bytes cannot be packed")
    # Each value starts on a page of its own; keys and tree take some more.
    sizes = (os.path.getsize(folder / path) for path in paths)
    capacity = sum(size + 3 * PAGE for size in sizes) * 11 // 10 + 64 * 2**20
    with atomic_path(target) as temporary:
        _fill(temporary, folder, paths, capacity, progress)
    return len(paths)


def _walk(folder: Path) -> Iterator[str]:
    """Yield relative paths of all regular files that are listed, through links."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    visited = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(filter(is_listed, folders))
        for path in (Path(parent) / name for name in files if is_listed(name)):
            if path.is_file() or not path.exists():  # a dangling link is refused by its name
                yield path.relative_to(folder).as_posix()
            else:
                logger.warning("%s is no regular file and is left out", path)


def _fill(
    file: Path, folder: Path, paths: list[str], capacity: int, progress: Callable[[int], None]
) -> None:
    """Append files in key order to a new LMDB file of at most `capacity` bytes."""
    settings = {"subdir": False, "lock": False, "sync": False, "meminit": False}
    with _import_lmdb().open(str(file), map_size=capacity, **settings) as environment:
        transaction, pending = environment.begin(write=True), 0
        for path in paths:
            content = (folder / path).read_bytes()
            transaction.put(path.encode(), content, append=True)
            progress(len(content))
            pending += len(content)
            if pending > FLUSH_AFTER:
                transaction.commit()
                transaction, pending = environment.begin(write=True), 0
        transaction.commit()
        environment.sync(True)


def _import_lmdb() -> Any:
    try:
        import lmdb
    except ImportError as error:
        raise ImportError("packed data sets need the package lmdb: pip install lmdb") from error
    return lmdb


_environments: dict[str, Any] = {}  # open in this process, by path


def _close_environments() -> None:
    """Let no environment cross a fork: a child could neither use it nor open the file again."""
    while _environments:
        _environments.popitem()[1].close()


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(before=_close_environments)
