"""Messages of bounded length, whatever they quote."""

import os
import reprlib
import tempfile
from collections.abc import Sequence

MAX_PROBLEMS = 20  # in a message
MAX_VALUE, MAX_PROBLEM = 160, 1000  # characters of a value, and of a problem


def shorten(value: object, length: int = MAX_VALUE) -> str:
    """`repr` of a value for a message, of bounded length and made in bounded time."""
    limits = reprlib.Repr()
    limits.maxstring = limits.maxother = limits.maxlong = length // 2
    return one_line(limits.repr(value), length)


def one_line(text: str, length: int = MAX_VALUE) -> str:
    """A text for a message, in one line of bounded length."""
    return _cut(" ".join(text[: 8 * length].split()), length)


def list_problems(problems: Sequence[str], shown: int = MAX_PROBLEMS) -> str:
    """Problems for a message, one a line; if they are more than `shown`, a file has them all."""
    lines = [_cut(problem, MAX_PROBLEM) for problem in problems[:shown]]
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
