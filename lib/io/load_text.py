"""Numbers out of the text files of tracking benchmarks: boxes, flags, times.

Values may be separated by commas, tabs or spaces, whichever the benchmark or toolkit chose. NumPy's
C reader does the work; a text that it refuses is read again line by line, to name the wrong line.
"""

from pathlib import Path

import numpy as np

from lib.io.listing import read_text
from lib.io.store import Store

BOX_COLUMNS = 4


def load_boxes(path: str | Path, store: Store | None = None) -> np.ndarray:
    """Read a file of one box `x,y,w,h` in pixels per line, relative to `store` where one is given.

    NaN is allowed (UAV123 marks frames without the target so). Blank lines may end the file.

    Returns:
        box_xywh_image: float64 (n, 4). A file without a line gives (0, 4).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line does not hold four numbers; names the file and the line.
    """
    return _load_table(path, store, BOX_COLUMNS)


def load_column(path: str | Path, store: Store | None = None) -> np.ndarray:
    """Read numbers (flags, times), one per line or all on one comma-separated line.

    Returns float64 (n,), in the order of the file. Arguments and errors: see `load_boxes`.
    """
    return _load_table(path, store, None).reshape(-1)


def _load_table(path: str | Path, store: Store | None, columns: int | None) -> np.ndarray:
    """Numbers of a file, float64 (lines, columns); None: as many columns as the first line has."""
    if store is None:
        path = Path(path)
        text = read_text(path)
    else:
        text, path = store.read_text(str(path)), store.root / path
    lines = text.replace(",", " ").rstrip().split("\n")
    if lines == [""]:
        return np.empty((0, columns or 1))
    try:
        table = np.loadtxt(lines, dtype=np.float64, comments=None, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path}{_describe(lines, columns) or f': {error}'}") from None
    # loadtxt skips blank lines, which would shift every later frame by one.
    if len(table) != len(lines) or (columns is not None and table.shape[1] != columns):
        raise ValueError(f"{path}{_describe(lines, columns)}")
    return table


def _describe(lines: list[str], columns: int | None) -> str:
    """Say which line is wrong, and how; empty when every line looks right."""
    expected = columns if columns is not None else len(lines[0].split())
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        for field in fields:
            try:
                float(field)
            except ValueError:
                return f", line {number}: {field!r} is not a number"
        if len(fields) != expected:
            return f", line {number}: {len(fields)} numbers, expected {expected}"
    return ""
