"""Run a program of tracking/ within the test's own process."""

import logging
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

TRACKING = Path(__file__).resolve().parents[1] / "tracking"

Run = Callable[..., tuple[int, str, str]]


def runner(name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Run:
    """Return a function: arguments of a program -> exit status, output, errors."""
    program = str(TRACKING / name)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
        monkeypatch.setattr(sys, "path", list(sys.path))
        with _logging_as_in_a_new_process():
            try:
                runpy.run_path(program, run_name="__main__")
            except SystemExit as end:
                code = end.code
        out, err = capfd.readouterr()
        return (1, out, f"{err}{code}\n") if isinstance(code, str) else (code, out, err)

    return run


@contextmanager
def _logging_as_in_a_new_process() -> Iterator[None]:
    """Let the program set up logging; pytest's handlers come back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers, root.level = [], logging.WARNING
    try:
        yield
    finally:
        root.handlers, root.level = handlers, level
