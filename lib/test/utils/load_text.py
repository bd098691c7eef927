"""Read the text files of tracking benchmarks: boxes, flags and times.

Numbers may be separated by commas, tabs or spaces, whichever the benchmark or toolkit chose.
Parsing is NumPy's C reader; a file that it refuses is read line by line, to name the line.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

BOX_COLUMNS = 4


def load_boxes(path: str | Path) -> np.ndarray:
    """Read one box a line.

    Args:
        path: a file of ``x,y,w,h`` lines in pixels, separated by commas, tabs or spaces.
            NaN is allowed (UAV123 marks frames without the target so).

    Returns:
        box_xywh_image: float64 (n, 4). A file without a line gives (0, 4).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line does not hold four numbers; names the file and the line.
    """
    return _load_table(Path(path), BOX_COLUMNS)


def load_column(path: str | Path) -> np.ndarray:
    """Read a list of numbers, one a line or all on one comma-separated line (flags, times).

    Returns:
        values: float64 (n,), in the order of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: something is not a number; names the file and the line.
    """
    return _load_table(Path(path), None).reshape(-1)


def _load_table(path: Path, columns: int | None) -> np.ndarray:
    """Numbers of a file, float64 (lines, columns); blank lines may stand at the end only."""
    lines = _read_lines(path)
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


def _read_lines(path: Path) -> list[str]:
    """Lines with commas turned to spaces and blank lines at the end dropped."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error.reason})") from None
    return text.replace(",", " ").rstrip().splitlines()


def _describe(path: Path, lines: list[str], columns: int | None) -> str:
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
