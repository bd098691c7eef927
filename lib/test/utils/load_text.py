"""Read the text files of tracking benchmarks: boxes, flags and times.

Numbers may be separated by commas, tabs or spaces, whichever the benchmark or toolkit chose.
Parsing is NumPy's C reader; a file that it refuses is read line by line, to name the line.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lib.utils.number_table import parse_table

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
    """Numbers of a file, float64 (lines, columns)."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error.reason})") from None
    return parse_table(text, path, columns)
