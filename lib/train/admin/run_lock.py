"""One training at a time in a run's folder, and what a killed one left half-written removed."""

import contextlib
import errno
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from lib.utils.files import LOCK_FILE, atomic_write_text, remove_left_overs

logger = logging.getLogger(__name__)

HOLDER_FILE = ".training"  # says which process holds the lock
WRITTEN = ("AIATRACK_*.pth.tar", "nonfinite_*.pt", HOLDER_FILE)  # by a training, in its folder
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # of a file system that has none
PATIENCE = 30.0  # seconds, for the loading processes of a training that was killed


class RunFolderError(ValueError):
    """Another training has the folder."""


@contextlib.contextmanager
def sole_training(folder: Path) -> Iterator[None]:
    """Have a run's folder to oneself while the block lasts; it is made if missing.

    Raises:
        RunFolderError: another training has it; says which.
        OSError: it cannot be written; says why.
    """
    lock, holder = FileLock(folder / LOCK_FILE), folder / HOLDER_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _acquire(lock, holder)
        began = time.strftime("%Y-%m-%d %H:%M:%S")
        atomic_write_text(holder, f"{os.getpid()} {socket.gethostname()} {began}\n")
    except OSError as error:
        raise OSError(f"cannot write in {folder}: {error.strerror or error}") from None
    try:
        for path in remove_left_overs(folder, WRITTEN):
            logger.info("removed %s, which a killed training left half-written", path)
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _acquire(lock: FileLock, holder: Path) -> None:
    """Take the lock at once, or after waiting for what a killed training has left running."""
    try:
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=0)
            return
        if not _runs(holder):
            logger.warning("%s: waiting for a training that was killed to end", holder.parent)
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=PATIENCE)
                return
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            raise
        logger.warning("%s cannot be locked: start no second training there", holder.parent)
        return
    raise RunFolderError(
        f"{holder.parent}: another training has this folder (process {_read(holder)}); "
        f"wait for its end, or choose another --save-dir"
    )


def _read(holder: Path) -> str:
    """What the holder says of itself: its process number, machine and start."""
    try:
        return holder.read_text(encoding="utf-8", errors="replace")[:200].strip() or "unknown"
    except OSError:
        return "unknown"


def _runs(holder: Path) -> bool:
    """Whether the holder runs, as far as this machine can know."""
    number, machine, *_ = [*_read(holder).split(), ""]
    here = machine == socket.gethostname() and number.isdecimal()
    return not here or psutil.pid_exists(int(number))
