"""Run a program of tracking/ within the test's own process."""

import logging
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TRACKING = Path(__file__).resolve().parents[1] / "tracking"

Run = Callable[..., tuple[int, str, str]]


def runner(name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Run:
    """Return a function: arguments of a program -> exit status, output, errors."""
    program = str(TRACKING / name)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
        monkeypatch.setattr(sys, "path", list(sys.path))
        handler = logging.StreamHandler(sys.stderr)
        logging.getLogger().addHandler(handler)
        try:
            runpy.run_path(program, run_name="__main__")
        except SystemExit as end:
            code = end.code
        finally:
            logging.getLogger().removeHandler(handler)
        out, err = capfd.readouterr()
        return (1, out, err + code) if isinstance(code, str) else (code, out, err)

    return run
