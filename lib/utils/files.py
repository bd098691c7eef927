"""Write files so that a reader sees the old content or the new one, never half of it."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; flushed to disk and renamed over it when the block
    succeeds.

    The folder is made if missing. When the block fails, or the disk is full, the temporary file is
    removed and what stood at `path` stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        os.chmod(name, 0o644)  # mkstemp makes it private
        os.close(descriptor)
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def atomic_write(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Let `write` fill a binary file that then replaces `path` in one step."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        write(file)


def atomic_write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` (UTF-8) in one step."""
    atomic_write(path, lambda file: file.write(text.encode()))


class TemporaryOutput:
    """A temporary file beside `path`, until it is kept or discarded."""

    def __init__(self, path: Path) -> None:
        """Make the temporary file, and the folder if it is missing.

        Raises:
            OSError: `path` cannot be written; says why.
        """
        self.path, self.done = path, False
        self._atomic = atomic_path(path)
        try:
            self.temporary = self._atomic.__enter__()
        except OSError as error:
            raise OSError(f"cannot write {path}: {error.strerror}") from error

    def keep(self) -> None:
        """Put the file under its name; what stood there is replaced."""
        self.done = True
        self._atomic.__exit__(None, None, None)

    def discard(self) -> None:
        """Remove the file; what stood under the name stays. Does nothing when done."""
        if not self.done:
            self.done = True
            reason = OSError(f"{self.path} is not wanted")
            self._atomic.__exit__(OSError, reason, None)


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Keep other processes that ask for the same lock out of a folder, for as long as the block
    lasts.

    The folder is made if missing. The lock ends with the process that holds it, however that ends.
    File systems without locks, and Windows, go without.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


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
