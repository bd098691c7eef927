"""What all programs share: their parser, types of their arguments, and how they end."""

import argparse
import atexit
import os
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from lib.utils.messages import list_problems

USERS_ERRORS = (ImportError, OSError, ValueError, RuntimeError)
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class _Parser(argparse.ArgumentParser):
    """Takes what people write: --save_dir for --save-dir, boxes with a minus or with spaces.

    Refuses "" for a path, which would be the working directory, and for a text; what may be empty
    is of `type=str`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.register("type", None, _not_empty)
        self.register("type", Path, lambda text: Path(_not_empty(text)))

    def parse_known_args(self, args=None, namespace=None):
        given = [self._spelling(word) for word in (sys.argv[1:] if args is None else args)]
        for action in self._actions:
            if count := COUNTS.get(action.type):
                for option in action.option_strings:
                    given = _join_numbers(given, option, count)
        return super().parse_known_args(given, namespace)

    def _spelling(self, word: str) -> str:
        """Return an option with the hyphens or underscores that this parser has it with."""
        name, equals, value = word.partition("=")
        spellings = (f"--{name[2:].replace(*pair)}" for pair in ("--", "_-", "-_"))
        known = [spelt for spelt in spellings if spelt in self._option_string_actions]
        return f"{known[0]}{equals}{value}" if name.startswith("--") and known else word


def _join_numbers(given: list[str], option: str, count: int) -> list[str]:
    """Make `--init -20 -20 60,60` one word, `--init=-20,-20,60,60`: up to `count` numbers."""
    joined, rest = [], given[::-1]
    while rest:
        word = rest.pop()
        numbers: list[str] = []
        while word == option and rest and len(numbers) < count:
            if not re.fullmatch(NUMBERS, rest[-1].strip()):
                break
            numbers += [part for part in re.split(r"[\s,]+", rest.pop()) if part]
        joined.append(f"{option}={','.join(numbers)}" if numbers else word)
    return joined


def _not_empty(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty (a variable that is not set?)")
    return text


def make_parser(
    doc: str | None, formatter: Any = argparse.RawDescriptionHelpFormatter
) -> argparse.ArgumentParser:
    """Make a parser whose --help shows a program's docstring, line by line as it is written."""
    return _Parser(description=doc, formatter_class=formatter)


def add_ignored(parser: argparse.ArgumentParser, reasons: dict[str, str]) -> None:
    """Take options that other trackers' programs have and this one has no use for.

    Args:
        reasons: by option, what is done instead; said in one line where the option is given.
    """
    for option, why in reasons.items():
        hidden: Any = {"help": argparse.SUPPRESS, "default": argparse.SUPPRESS}
        parser.add_argument(option, nargs="?", action=_Ignored, metavar=why, **hidden)


class _Ignored(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        text = f"{option_string} is not needed here, and left out: {self.metavar}"
        sys.stderr.write(f"{text}\n")


def at_least(minimum: int) -> Callable[[str], int]:
    """Make the type of an argument that is a whole number, `minimum` or more."""

    def whole_number(text: str) -> int:
        if (value := int(text)) < minimum:
            raise argparse.ArgumentTypeError(f"must be {minimum} or more; given: {value}")
        return value

    return whole_number


def parse_box(text: str) -> list[float]:
    """Read a box, "200,150,60,80"; argparse.ArgumentTypeError: not four numbers."""
    return _numbers(text, 4, "a box is x,y,w,h in pixels, such as 200,150,60,80")


def parse_point(text: str) -> list[float]:
    """Read a point, "230,190"; argparse.ArgumentTypeError: not two numbers."""
    return _numbers(text, 2, "a point is x,y in pixels, such as 230,190")


def _numbers(text: str, count: int, expected: str) -> list[float]:
    try:
        values = [float(v) for v in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count:
        raise argparse.ArgumentTypeError(f"{expected}; given: {text!r}")
    return values


COUNTS: dict[Any, int] = {parse_box: 4, parse_point: 2}
NUMBERS = r"[-+]?\.?\d[-+.\deE]*([\s,]+[-+]?\.?\d[-+.\deE]*)*,?"


def run_program(main: Callable[[], int]) -> NoReturn:
    """Run a program and exit with the status it returns; 1 on an error, 130 on Ctrl-C.

    Errors of other types are bugs, and keep their traceback.
    """
    os.environ.pop("MPLBACKEND", None)  # as a notebook sets it; figures are files and need none
    try:
        _leave(main())
    except USERS_ERRORS as error:
        sys.exit(f"error: {list_problems(str(error).splitlines())}")
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
