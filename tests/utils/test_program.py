"""Guards what programs share: types of arguments, and how they end."""

import argparse
import tempfile
from pathlib import Path

import pytest

from lib.utils.program import (
    at_least,
    list_problems,
    one_line,
    parse_box,
    parse_point,
    run_program,
    shorten,
)


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


def test_types_of_arguments() -> None:
    assert at_least(2)("2") == 2
    assert parse_box("1,2.5,3,4") == [1, 2.5, 3, 4] and parse_point("-1,2") == [-1, 2]
    with pytest.raises(argparse.ArgumentTypeError, match="must be 2 or more; given: 1"):
        at_least(2)("1")
    for parse, text in ((parse_box, "1,2,3"), (parse_point, "1,x")):
        with pytest.raises(argparse.ArgumentTypeError, match=f"given: '{text}'"):
            parse(text)


def test_messages_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert list_problems(["one", "  two"]) == "one\n  two"
    assert list(tmp_path.iterdir()) == []
    problems = [f"problem {i} " + "x" * 5000 for i in range(30)]
    *lines, last = list_problems(problems).splitlines()
    assert len(lines) == 20 and all(len(line) == 1000 for line in lines)
    (path,) = tmp_path.iterdir()
    assert last == f"... and 10 more; all are in {path}"
    assert path.read_text().splitlines() == problems
    with pytest.raises(SystemExit) as end:
        run_program(raising(ValueError("\n".join(problems))))
    assert len(str(end.value)) < 25_000 and "and 10 more; all are in" in str(end.value)


def test_shortened_values() -> None:
    shared = ["x"]
    for _ in range(60):  # 2^60 entries if written out
        shared = [shared, shared]
    assert one_line("a  b\nc") == "a b c"
    assert one_line("x" * 500) == "x" * 156 + " ..."
    assert shorten([1, "a"]) == "[1, 'a']"
    assert len(shorten(shared)) <= 160 and len(shorten(10**4000)) <= 160
