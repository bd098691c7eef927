"""Run a program within the test's own process: importing torch anew takes seconds each time.

Real processes are for tests of signals, of environments, and of several processes at once.
"""

import io
import logging
import os
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest import mock

TRACKING = Path(__file__).resolve().parents[1] / "tracking"


class Done(NamedTuple):
    """How a program ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


def run_program(
    program: str | Path, *arguments: object, env: Mapping[str, str] | None = None
) -> Done:
    """Run a program to its end.

    Args:
        program: file name in tracking/, or a whole path.
        env: the whole environment, if another one than the test's.
    """
    path = str(TRACKING / program)
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", [path, *map(str, arguments)]),
        mock.patch.object(sys, "path", list(sys.path)),
        mock.patch.dict(os.environ, env or {}, clear=env is not None),
        redirect_stdout(out),
        redirect_stderr(err),
        _logging_of_a_new_process(),
    ):
        try:
            runpy.run_path(path, run_name="__main__")
            code = 0
        except SystemExit as end:
            code = end.code or 0
    if isinstance(code, str):  # sys.exit with a message
        return Done(1, out.getvalue(), f"{err.getvalue()}{code}\n")
    return Done(code, out.getvalue(), err.getvalue())


def runner(program: str | Path) -> Run:
    """Return a function: arguments of a program -> how it ended."""
    return partial(run_program, program)


@contextmanager
def _logging_of_a_new_process() -> Iterator[None]:
    """Let the program set up logging; pytest's handlers come back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers, root.level = [], logging.WARNING
    try:
        yield
    finally:
        root.handlers, root.level = handlers, level
