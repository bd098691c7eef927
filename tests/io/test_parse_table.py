"""Tables of numbers in every separator that benchmarks use; a wrong line is named."""

import numpy as np
import pytest

from lib.io.load_text import parse_table


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2\n3,4\n", [[1, 2], [3, 4]]),
        ("1\t2\n3\t4", [[1, 2], [3, 4]]),
        ("1   2\r\n3 4\r\n\r\n", [[1, 2], [3, 4]]),
        ("1, 2\n3 ,4\n", [[1, 2], [3, 4]]),
        ("-1.5,2e1\n", [[-1.5, 20]]),
    ],
)
def test_separators(text: str, expected: list) -> None:
    assert parse_table(text, "x.txt", 2).tolist() == expected
    assert parse_table(text, "x.txt").tolist() == expected


def test_nan_stays() -> None:
    assert np.isnan(parse_table("NaN,nan,1,2\n", "x.txt", 4)[0, :2]).all()


def test_empty_text() -> None:
    assert parse_table("\n", "x.txt", 4).shape == (0, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2\n3,x\n", r"x\.txt, line 2: 'x' is not a number"),
        ("1,2\n3\n", r"x\.txt, line 2: 1 numbers, expected 2"),
        ("1,2,3\n4,5,6\n", r"x\.txt, line 1: 3 numbers, expected 2"),
        ("1,2\n\n3,4\n", r"x\.txt, line 2: 0 numbers, expected 2"),
    ],
)
def test_wrong_lines_are_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_table(text, "x.txt", 2)
