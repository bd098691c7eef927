"""A file that grows for a long time and is put under its name when someone says so.

Neighbours: lib/utils/files.py does the renaming; pictures.py and follow.py write through this.
"""

from pathlib import Path

from lib.utils.files import atomic_path


class PendingFile:
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
