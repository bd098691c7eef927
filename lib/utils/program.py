"""How every program ends: its exit status, one line for an error that a user can mend."""

import sys
from collections.abc import Callable
from typing import NoReturn

USERS_ERRORS = (ImportError, OSError, ValueError, RuntimeError)
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def run_program(main: Callable[[], int]) -> NoReturn:
    """Run a program and exit with the status it returns; 1 on an error, 130 on Ctrl-C.

    Errors of other types are bugs, and keep their traceback.
    """
    try:
        sys.exit(main())
    except USERS_ERRORS as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
