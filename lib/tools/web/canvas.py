"""Boxes as the page draws them and gives them back; in between, people move them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lib.test.tracker.targets import State
from lib.tools.video.painter import colour_of


def to_page(states: Sequence[State], width: int, height: int) -> list[dict[str, Any]]:
    """Boxes as the page draws them: corners in whole pixels inside of a width x height image."""
    boxes = []
    for state in states:
        x, y, w, h = state.box_xywh
        if w <= 0 or h <= 0:
            continue
        corners = np.clip(np.round([x, y, x + w, y + h]), 0, [width, height] * 2).astype(int)
        mark = " ✓" if state.score is None else " lost" if state.lost else ""
        names = dict(zip(("xmin", "ymin", "xmax", "ymax"), corners.tolist(), strict=True))
        boxes.append({**names, "label": f"{state.target}{mark}", "color": colour_of(state.target)})
    return boxes


def from_page(
    boxes: Sequence[dict[str, Any]], states: Sequence[State], size: tuple[int, int], new: int | None
) -> list[tuple[int | None, list[float]]]:
    """Boxes (x, y, w, h) of a page by target, exactly as they were where nobody moved them.

    The page puts new boxes first; here they come last. A box without a number is of the target
    whose box was deleted here, else of `new`, else new.
    """
    sent = {int(box["label"].split()[0]): box for box in to_page(states, *size)}
    known = {state.target: state.box_xywh for state in states}
    numbers = [int(box["label"].split()[0]) if box.get("label") else None for box in boxes]
    free = [target for target in sent if target not in numbers]
    if not free and new is not None and new not in numbers:
        free = [new]
    taken: list[tuple[int | None, list[float]]] = []
    for box, number in reversed(list(zip(boxes, numbers, strict=True))):
        corners = [box[name] for name in ("xmin", "ymin", "xmax", "ymax")]
        before = [sent[number][name] for name in ("xmin", "ymin", "xmax", "ymax")] if number else []
        if number and np.abs(np.subtract(corners, before)).max() <= 1:
            taken.append((number, known[number]))
            continue
        x1, y1, x2, y2 = map(float, corners)
        target = number or (free.pop(0) if free else None)
        taken.append((target, [x1, y1, x2 - x1, y2 - y1]))
    return taken
