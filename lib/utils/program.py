"""What all programs share: their parser, types of their arguments, and how they end."""

import argparse
import os
import reprlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import NoReturn

USERS_ERRORS = (ImportError, OSError, ValueError, RuntimeError)
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
MAX_PROBLEMS = 20  # in a message
MAX_VALUE, MAX_PROBLEM = 160, 1000  # characters of a value, and of a problem


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


def shorten(value: object, length: int = MAX_VALUE) -> str:
    """`repr` of a value for a message, of bounded length and made in bounded time."""
    limits = reprlib.Repr()
    limits.maxstring = limits.maxother = limits.maxlong = length // 2
    return one_line(limits.repr(value), length)


def one_line(text: str, length: int = MAX_VALUE) -> str:
    """A text for a message, in one line of bounded length."""
    return _cut(" ".join(text[: 8 * length].split()), length)


def list_problems(problems: Sequence[str]) -> str:
    """Problems for a message, one a line; beyond MAX_PROBLEMS it names a file that has them all."""
    lines = [_cut(problem, MAX_PROBLEM) for problem in problems[:MAX_PROBLEMS]]
    if (more := len(problems) - len(lines)) > 0:
        try:
            descriptor, name = tempfile.mkstemp(".txt", "aiatrack-problems-")
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.writelines(f"{problem}\n" for problem in problems)
            lines.append(f"... and {more} more; all are in {name}")
        except OSError as error:
            lines.append(f"... and {more} more (no file of all could be written: {error})")
    return "\n".join(lines)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 4]} ..."


def run_program(main: Callable[[], int]) -> NoReturn:
    """Run a program and exit with the status it returns; 1 on an error, 130 on Ctrl-C.

    Errors of other types are bugs, and keep their traceback.
    """
    try:
        sys.exit(main())
    except USERS_ERRORS as error:
        sys.exit(f"error: {list_problems(str(error).splitlines())}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
