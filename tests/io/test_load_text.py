"""Guards the reader of box, flag and time files in every notation; refusals name file and line."""

from pathlib import Path

import numpy as np
import pytest

from lib.io.load_text import load_boxes, load_column
from lib.io.store import open_store

ROWS = [[1.0, 2.0, 3.0, 4.0], [5.5, -6.0, 7.0, 8.25]]


def write(folder: Path, text: str) -> Path:
    path = folder / "boxes.txt"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("1,2,3,4\n5.5,-6,7,8.25\n", id="comma"),
        pytest.param("1\t2\t3\t4\n5.5\t-6\t7\t8.25\n", id="tab"),
        pytest.param("  1   2 3 4\n5.5 -6 7    8.25  \n", id="spaces"),
        pytest.param("1, 2,\t3, 4\n5.5, -6, 7, 8.25\n", id="comma and blank"),
        pytest.param("1,2,3,4\n5.5 -6 7 8.25\n", id="separator changes"),
        pytest.param("1,2,3,4\r\n5.5,-6,7,8.25\r\n", id="carriage return"),
        pytest.param("1,2,3,4\r5.5,-6,7,8.25\r", id="carriage return alone"),
        pytest.param("1,2,3,4\n5.5,-6,7,8.25", id="no newline at the end"),
        pytest.param("1,2,3,4\n55e-1,-6,.7e1,8.25", id="exponents"),
        pytest.param("1,2,3,4\n5.5,-6,7,8.25\n\n \n", id="blank lines at the end"),
        pytest.param("\ufeff1,2,3,4\n5.5,-6,7,8.25\n", id="byte order mark"),
    ],
)
def test_boxes_in_every_notation(tmp_path, text):
    boxes = load_boxes(write(tmp_path, text))
    assert boxes.dtype == np.float64
    assert boxes.tolist() == ROWS


def test_nan_is_a_value(tmp_path):
    boxes = load_boxes(write(tmp_path, "1,2,3,4\nNaN,NaN,nan,NaN\n"))
    assert np.isnan(boxes[1]).all() and np.isfinite(boxes[0]).all()


def test_one_line_and_none(tmp_path):
    assert load_boxes(write(tmp_path, "1,2,3,4\n")).shape == (1, 4)
    assert load_boxes(write(tmp_path, "")).shape == (0, 4)
    assert load_column(write(tmp_path, "")).shape == (0,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("1,2,3,4\n1,2,x,4\n", r"boxes.txt, line 2: 'x' is not a number", id="word"),
        pytest.param("1,2,3,4\n1,2,3\n", r"boxes.txt, line 2: 3 numbers, expected 4", id="short"),
        pytest.param("1,2,3\n1,2,3\n", r"boxes.txt, line 1: 3 numbers, expected 4", id="all short"),
        pytest.param("1,,2,3\n", r"boxes.txt, line 1: 3 numbers, expected 4", id="gap"),
        pytest.param("1,2,3,4\n\n1,2,3,4\n", r"boxes.txt, line 2: 0 numbers", id="blank line"),
        pytest.param("\n1,2,3,4\n", r"boxes.txt, line 1: 0 numbers", id="blank first line"),
        pytest.param("1;2;3;4\n", r"boxes.txt, line 1: '1;2;3;4' is not a number", id="semicolon"),
    ],
)
def test_refusals_name_file_and_line(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=message):
        load_boxes(path)
    with pytest.raises(ValueError, match=f"{tmp_path}/{message}"):
        load_boxes("boxes.txt", open_store(tmp_path))


def test_refuses_what_is_not_text(tmp_path):
    path = tmp_path / "boxes.txt"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ValueError, match=r"boxes\.txt: not a text file"):
        load_boxes(path)
    with pytest.raises(FileNotFoundError, match=r"missing\.txt"):
        load_boxes(tmp_path / "missing.txt")


@pytest.mark.parametrize("text", ["0,1,1,0\n", "0\n1\n1\n0\n"], ids=["one line", "one per line"])
def test_columns_of_flags(tmp_path, text):
    assert load_column(write(tmp_path, text)).tolist() == [0, 1, 1, 0]
    assert load_column("boxes.txt", open_store(tmp_path)).tolist() == [0, 1, 1, 0]


def test_columns_need_equal_lines(tmp_path):
    with pytest.raises(ValueError, match=r"line 2: 1 numbers, expected 2"):
        load_column(write(tmp_path, "1,2\n3\n"))
