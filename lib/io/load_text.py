"""Numbers out of the text files of tracking benchmarks: boxes, flags, times.

Values may be separated by commas, tabs or spaces, whichever the benchmark or toolkit chose. NumPy's
C reader does the work; a text that it refuses is read again line by line, to name the wrong line.
"""

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


def _load_table(path: Path, columns: int | None) -> np.ndarray:
    """Numbers of a file, float64 (lines, columns)."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error.reason})") from None
    return parse_table(text, path, columns)


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
