"""Numbers out of annotation text: boxes, flags, times, whichever separators a benchmark chose.

NumPy's C reader does the work; a text that it refuses is gone through line by line, to name the
line that is wrong.
"""

from pathlib import Path

import numpy as np


def parse_table(text: str, path: str | Path, columns: int | None = None) -> np.ndarray:
    """Parse lines of numbers separated by commas, tabs or spaces.

    Args:
        text: blank lines may stand at its end only.
        path: where it is from, for messages.
        columns: numbers a line; None: as many as the first line has.

    Returns:
        float64 (lines, columns); NaN stays NaN. An empty text gives no lines.

    Raises:
        ValueError: something is not a number, or a line is shorter or longer; names the line.
    """
    lines = text.replace(",", " ").rstrip().splitlines()
    if not lines:
        return np.empty((0, columns or 1))
    try:
        table = np.loadtxt(lines, dtype=np.float64, comments=None, ndmin=2)
    except ValueError as error:
        raise ValueError(_describe(path, lines, columns) or f"{path}: {error}") from None
    # loadtxt skips blank lines, which would shift every later frame by one.
    if len(table) != len(lines) or (columns is not None and table.shape[1] != columns):
        raise ValueError(_describe(path, lines, columns))
    return table


def _describe(path: str | Path, lines: list[str], columns: int | None) -> str:
    """Say which line is wrong, and how; empty when every line looks right."""
    expected = columns if columns is not None else len(lines[0].split())
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        for field in fields:
            if not _is_number(field):
                return f"{path}, line {number}: {field!r} is not a number"
        if len(fields) != expected:
            return f"{path}, line {number}: {len(fields)} numbers, expected {expected}"
    return ""


def _is_number(field: str) -> bool:
    """Whether Python reads the field as a number."""
    try:
        float(field)
    except ValueError:
        return False
    return True
