"""Which failures of a training are a user's to mend, told in one line, and which are bugs."""

import contextlib
import logging
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import torch

from lib.cli.program import USERS_ERRORS
from lib.train.admin import distributed
from lib.utils.messages import list_problems
from lib.utils.paths import PROJECT_ROOT
from lib.utils.stopping import Stopped

logger = logging.getLogger(__name__)

ALWAYS_USERS = (OSError, ImportError, MemoryError, torch.OutOfMemoryError)
WORKER_KILLED = "DataLoader worker"  # how PyTorch's message begins
LAUNCHER_TIME = 3.0  # seconds in which the launcher learns which process failed first
FROM_WORKER = "Caught "  # how it begins one that holds a loading process's traceback


@contextlib.contextmanager
def told_failures(*, bugs: bool) -> Iterator[None]:
    """Log what ends the block, and exit: with 1, or with 128 + the number of a stop signal.

    Args:
        bugs: log those too; they go on as they are, with their traceback.
    """
    try:
        yield
    except Stopped as stopped:
        logger.warning("%s", stopped)
        raise SystemExit(128 + stopped.signal_number) from None
    except Exception as error:
        if distributed.world_size() > 1 and is_lost_connection(error):
            logger.warning("another process of this training has ended")
            time.sleep(LAUNCHER_TIME)
            raise SystemExit(1) from None
        if is_users(error):
            logger.error("%s", _text(error))
            raise SystemExit(1) from None
        if bugs:
            logger.exception("rank %d of %d failed", distributed.rank(), distributed.world_size())
        raise


def is_lost_connection(error: Exception) -> bool:
    """Whether the only trouble is that another process, which tells its own, is gone."""
    lost = any(text in str(error) for text in ("closed by peer", "reset by peer"))
    return isinstance(error, torch.distributed.DistError) or (
        isinstance(error, RuntimeError) and lost
    )


def is_users(error: Exception) -> bool:
    """Whether a user can mend it: files, packages, memory, and what this project itself raises."""
    if isinstance(error, ALWAYS_USERS) or str(error).startswith(WORKER_KILLED):
        return True
    if not isinstance(error, (*USERS_ERRORS, ArithmeticError)):
        return False
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    raised_here = Path(frame.f_code.co_filename).is_relative_to(PROJECT_ROOT / "lib")
    return raised_here or type(error).__module__.startswith("lib.")


def _text(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if lines[0].startswith(FROM_WORKER):
        return list_problems([lines[-1].partition(": ")[2]])
    return list_problems(lines)
