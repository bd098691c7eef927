"""Guards what programs share: types of arguments, and how they end."""

import argparse
import tempfile
from pathlib import Path

import pytest

from lib.cli.program import (
    add_ignored,
    at_least,
    make_parser,
    parse_box,
    parse_point,
    run_program,
)
from lib.utils.messages import list_problems, one_line, shorten


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


def test_empty_paths_and_texts_are_refused(capsys: pytest.CaptureFixture) -> None:
    parser = make_parser("Does something.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--may-be", type=str, default="")
    group = parser.add_argument_group("more")
    group.add_argument("--out", type=Path)
    group.add_argument("--source", nargs="+")
    given = parser.parse_args(["a b", "--may-be", "", "--out", "x", "--source", "s", "t"])
    assert (given.folder, given.out, given.source) == (Path("a b"), Path("x"), ["s", "t"])
    for arguments, name in (
        ([""], "folder"),
        ([" "], "folder"),
        (["a", "--out", ""], "--out"),
        (["a", "--source", "s", ""], "--source"),
    ):
        with pytest.raises(SystemExit):
            parser.parse_args(arguments)
        assert f"argument {name}: is empty (a variable" in capsys.readouterr().err


WRITTEN = [
    ("--init -20,-20,60,60", [[-20, -20, 60, 60]], None),
    ("--init=-20,-20,60,60 7", [[-20, -20, 60, 60]], "7"),
    ("--init 205 151 17 50 7", [[205, 151, 17, 50]], "7"),
    ("7 --init 205, 151, 17, 50", [[205, 151, 17, 50]], "7"),
    ("--init -.5 -1e1 17 5.0 --cell -3 4", [[-0.5, -10, 17, 5]], None),
    ("--init 1,2,3,4 --init 5 6,7 8 clip.mp4", [[1, 2, 3, 4], [5, 6, 7, 8]], "clip.mp4"),
    ("--init 1,2,3,4 12:30:15.mp4", [[1, 2, 3, 4]], "12:30:15.mp4"),
]


@pytest.mark.parametrize(("line", "boxes", "source"), WRITTEN)
def test_boxes_as_people_write_them(line: str, boxes: list, source: str | None) -> None:
    parser = make_parser("")
    parser.add_argument("source", nargs="?")
    parser.add_argument("--init", action="append", type=parse_box)
    parser.add_argument("--cell", type=parse_point)
    args = parser.parse_args(line.split())
    assert (args.init, args.source) == (boxes, source)
    assert args.cell == ([-3, 4] if "--cell" in line else None)


@pytest.mark.parametrize("line", ["--init 1 2 3", "--init x 1 2 3", "--init", "--init 1,2,3,4,5"])
def test_boxes_that_are_none(line: str, capsys: pytest.CaptureFixture) -> None:
    parser = make_parser("")
    parser.add_argument("--init", type=parse_box)
    with pytest.raises(SystemExit) as end:
        parser.parse_args(line.split())
    assert end.value.code == 2 and "--init" in capsys.readouterr().err


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


def test_options_are_known_with_hyphens_and_underscores(capsys: pytest.CaptureFixture) -> None:
    parser = make_parser("Does something.")
    parser.add_argument("--save-dir")
    parser.add_argument("--dataset_name")
    add_ignored(parser, {"--use-lmdb": "an LMDB file is found"})
    for words in ("--save_dir=a_b --dataset-name x_y", "--save-dir a_b --dataset_name x_y"):
        given = parser.parse_args(words.split())
        assert vars(given) == {"save_dir": "a_b", "dataset_name": "x_y"}
    for words in (["--use_lmdb", "0"], ["--use-lmdb=1"], ["--use_lmdb"]):
        assert vars(parser.parse_args(words)) == {"save_dir": None, "dataset_name": None}
        message = "--use-lmdb is not needed here, and left out: an LMDB file is found\n"
        assert capsys.readouterr().err == message
    with pytest.raises(SystemExit):
        parser.parse_args(["--use_wandb", "0"])
