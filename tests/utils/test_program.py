"""How programs end."""

import pytest

from lib.utils.program import run_program


def raising(error: BaseException):
    def main() -> int:
        raise error

    return main


@pytest.mark.parametrize(
    ("main", "code"),
    [
        (lambda: 0, 0),
        (lambda: 3, 3),
        (raising(ValueError("no such recipe")), "error: no such recipe"),
        (raising(FileNotFoundError("no file")), "error: no file"),
        (raising(KeyboardInterrupt()), 130),
    ],
)
def test_exit_status(main, code) -> None:
    with pytest.raises(SystemExit) as end:
        run_program(main)
    assert end.value.code == code


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(KeyError):
        run_program(raising(KeyError("x")))
