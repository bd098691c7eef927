"""What all programs share: their parser, types of their arguments, and how they end."""

import argparse
import atexit
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

USERS_ERRORS = (ImportError, OSError, ValueError, RuntimeError)
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def make_parser(doc: str | None) -> argparse.ArgumentParser:
    """Make a parser whose --help shows a program's docstring, line by line as it is written."""
    return argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def at_least(minimum: int) -> Callable[[str], int]:
    """Make the type of an argument that is a whole number, `minimum` or more."""

    def whole_number(text: str) -> int:
        if (value := int(text)) < minimum:
            raise argparse.ArgumentTypeError(f"must be {minimum} or more; given: {value}")
        return value

    return whole_number


def parse_box(text: str) -> list[float]:
    """Read a box, "200,150,60,80".

    Raises:
        argparse.ArgumentTypeError: not four numbers.
    """
    return _numbers(text, 4, "a box is x,y,w,h in pixels, such as 200,150,60,80")


def parse_point(text: str) -> list[float]:
    """Read a point, "230,190".

    Raises:
        argparse.ArgumentTypeError: not two numbers.
    """
    return _numbers(text, 2, "a point is x,y in pixels, such as 230,190")


def _numbers(text: str, count: int, expected: str) -> list[float]:
    try:
        values = [float(v) for v in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count:
        raise argparse.ArgumentTypeError(f"{expected}; given: {text!r}")
    return values


def run_program(main: Callable[[], int]) -> NoReturn:
    """Run a program and exit with the status it returns; 1 on an error, 130 on Ctrl-C.

    Errors of other types are bugs, and keep their traceback.
    """
    try:
        _leave(main())
    except USERS_ERRORS as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _leave(status: int) -> NoReturn:
    """Exit as Python does, but let the system take torch apart: that spares 0.5 s and 125 MiB.

    So ends what was started as a program; a profiler, launcher or test has more to do.
    """
    started = sys.orig_argv[1:2] == sys.argv[:1]
    others = [t for t in threading.enumerate() if not t.daemon]
    if "torch" in sys.modules and started and others == [threading.main_thread()]:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
