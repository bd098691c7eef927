"""Guards the warning about boxes that are corners or fractions."""

import numpy as np
import pytest

from lib.io.box_doubts import doubt_boxes

NAN = [np.nan] * 4
CASES = {  # boxes in an image of 320 x 240 -> how the doubt begins
    "in pixels": ([[30, 40, 60, 60]], ""),
    "to the edge": ([[100, 100, 220, 140]], ""),
    "rounded beyond the edge": ([[100, 100, 221, 141]], ""),
    "corners": ([[100, 80, 300, 200]], "boxes look like x1,y1,x2,y2, as x,y,w,h 1 of 1 would end"),
    "corners, one of them telling": (
        [[10, 10, 20, 20], NAN, [100, 80, 300, 200]],
        "boxes look like x1,y1,x2,y2, as x,y,w,h 1 of 2 would end outside of the 320 x 240 image",
    ),
    "corners that cannot be told": ([[30, 40, 60, 70]], ""),
    "leaving the image": ([[300, 100, 60, 60]], ""),
    "leaving, once small": ([[10, 10, 320, 240], [100, 100, 20, 20]], ""),
    "fractions": ([[0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]], "boxes look like fractions of the image"),
    "a small target": ([[0.5, 0.5, 1, 1], [40, 40, 1, 1]], ""),
    "hidden": ([NAN, [0, 0, 0, 0]], ""),
    "none": ([], ""),
}


@pytest.mark.parametrize("kind", CASES)
def test_doubts(kind: str) -> None:
    boxes, expected = CASES[kind]
    doubt = doubt_boxes(np.array(boxes, np.float64), 320, 240)
    assert doubt.startswith(expected) and bool(doubt) == bool(expected)
