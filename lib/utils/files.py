"""Write files so that a reader sees the old content or the new one, never half of it.

And read them, if they are files: a FIFO or a device may never end.
"""

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

LOCK_FILE = ".lock"  # hidden, and left in place: whoever waits for it holds it open


def read_regular(path: str | Path) -> bytes:
    """Return a file's content; OSError as `require_regular`."""
    require_regular(path)
    with open(path, "rb") as file:
        return file.read()


def require_regular(path: str | Path) -> None:
    """Refuse what might keep a reader waiting for ever.

    Raises:
        FileNotFoundError: no such file. OSError: a folder, a pipe, a socket or a device.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(f"{path}: not a regular file, but a pipe, a socket or a device")


class TemporaryOutput:
    """A temporary file beside `path`, for as long as it takes until it is kept or discarded."""

    def __init__(self, path: Path) -> None:
        """Make the temporary file, and the folder if it is missing.

        Raises:
            OSError: `path` cannot be written; says why.
        """
        self.path, self.done = path, False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(".tmp", f".{path.name}.", path.parent)
            os.close(descriptor)
        except OSError as error:
            raise OSError(f"cannot write {path}: {error.strerror}") from error
        self.temporary = Path(name)

    def keep(self) -> None:
        """Flush the file to disk and rename it over `path`; what stood there is replaced."""
        try:
            with open(self.temporary, "rb") as written:
                os.fsync(written.fileno())
            os.chmod(self.temporary, 0o644)  # mkstemp makes it private, and so does safetensors
            os.replace(self.temporary, self.path)
            _sync_folder(self.path.parent)
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove the file; what stands at `path` stays. Does nothing when done."""
        if not self.done:
            self.done = True
            self.temporary.unlink(missing_ok=True)


def check_outputs(
    outputs: Iterable[Path], inputs: Iterable[Path] = (), *, overwrite: bool = False
) -> None:
    """Refuse outputs that are read, or that exist and are not to be replaced.

    Args:
        inputs: files, and folders of which every file is one; looked at where an output exists.

    Raises:
        ValueError: an output is an input, by whatever path or link, or is named twice.
        FileExistsError: an output exists; needs --overwrite.
    """
    seen, files = set[Path](), list(inputs)
    for output in outputs:
        if output.resolve() in seen:
            raise ValueError(f"{output} is named for two outputs")
        seen.add(output.resolve())
        if not os.path.lexists(output):
            continue
        if output.exists():
            for path in files:
                within = path.is_dir() and output.resolve().is_relative_to(path.resolve())
                if within or (path.exists() and output.samefile(path)):
                    raise ValueError(
                        f"{output} is read here ({path}); give the output another name"
                    )
        if not overwrite:
            raise FileExistsError(f"{output} exists; give --overwrite to replace it")


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed over it when the block succeeds.

    When the block fails, or the disk is full, it is removed and what stood at `path` stays.
    """
    output = TemporaryOutput(path)
    try:
        yield output.temporary
        output.keep()
    finally:
        output.discard()


def atomic_write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a binary file that then replaces `path` in one step."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        write(file)


def atomic_write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` (UTF-8) in one step."""
    atomic_write(path, lambda file: file.write(text.encode()))


def remove_left_overs(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Remove what killed processes left half-written of files of these names; return its paths.

    For whoever keeps other writers of them out.
    """
    found = [path for pattern in patterns for path in folder.glob(f".{pattern}.*.tmp")]
    for path in found:
        path.unlink()
    return found


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Keep other processes that ask for the same lock out of a folder while the block lasts.

    The folder is made if missing. The lock ends with the process that holds it, however that ends.
    A folder that cannot be written, or on a file system without locks, is not locked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK_FILE)
    with contextlib.suppress(OSError, NotImplementedError):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the file system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows cannot open folders
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
