"""Draw what a cell attends to: a row per reference, each head's map before and after the inner
attention. Neighbour: maps.py computes the maps.

Source: the paper's figure of correlation maps. Without `pyplot`, which may need a screen.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from lib.tools.attention.maps import AttentionView, Row

COLOUR_MAP = "inferno"
QUERY_COLOUR, BOX_COLOUR = "#00E5FF", "#40FF40"
TILE = 1.5  # inches
LEFT, TOP = 0.5, 0.65  # inches, for labels
NARROW_GAP, WIDE_GAP = 0.04, 0.14  # inches between tiles
WINDOW_BRIGHTNESS = 0.6  # of a window under a map
MAX_OPACITY = 0.85  # of a map where it is greatest


def draw_view(view: AttentionView, dpi: int = 100) -> np.ndarray:
    """Draw a view -> (H, W, 3) uint8 RGB, height and width even, as videos need.

    Every map has its own colours, from 0 to its greatest weight, which is written in it; where
    references share a softmax, so is the share of this one.
    """
    heads = len(view.rows[0].before)
    width = LEFT + TILE + heads * (2 * TILE + NARROW_GAP + WIDE_GAP) + NARROW_GAP
    height = TOP + len(view.rows) * (TILE + NARROW_GAP)
    figure = Figure(figsize=(width, height), dpi=dpi)
    canvas = FigureCanvasAgg(figure)
    title = f"Frame {view.frame}: what the cell in column {view.cell[0]}, row {view.cell[1]} sees"
    figure.suptitle(title, x=LEFT / width, y=1 - 0.1 / height, ha="left", va="top", fontsize=12)
    for index, row in enumerate(view.rows):
        axes = [_tile(figure, column, index) for column in range(1 + 2 * heads)]
        _draw_row(axes, row, view)
        if index == 0:
            axes[0].set_title("window", fontsize=9)
            for i, axis in enumerate(axes[1:]):
                axis.set_title(f"head {i // 2 + 1} {('before', 'after')[i % 2]}", fontsize=9)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3]
    return np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])


def _tile(figure: Figure, column: int, row: int) -> Axes:
    """A tile without ticks; the columns before and after of a head stand close together."""
    left = LEFT + column * TILE + (column + 1) // 2 * WIDE_GAP + column // 2 * NARROW_GAP
    bottom = figure.get_figheight() - TOP - (row + 1) * TILE - row * NARROW_GAP
    inches = np.array([left, bottom, TILE, TILE])
    axis = figure.add_axes(inches / np.tile(figure.get_size_inches(), 2))
    axis.set_xticks([])
    axis.set_yticks([])
    return axis


def _draw_row(axes: list[Axes], row: Row, view: AttentionView) -> None:
    axes[0].set_ylabel(row.title, fontsize=9)
    axes[0].imshow(row.window)
    maps = np.stack([row.before, row.after], 1).reshape(-1, *row.before.shape[1:])  # (2h, H, W)
    for axis, weights in zip(axes[1:], maps, strict=True):
        _draw_map(axis, row.window, weights)
    if row.frame == view.frame:
        x1, y1, x2, y2 = view.box_xyxy_window
        axes[0].add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=BOX_COLOUR))
        for axis in axes:
            _mark_cell(axis, view, row.before.shape[-1])


def _draw_map(axis: Axes, window: np.ndarray, weights: np.ndarray) -> None:
    """Draw (H, W) weights over the window, which is grey and dimmed."""
    size = window.shape[0]
    axis.imshow(window.mean(2) * (WINDOW_BRIGHTNESS / 255), cmap="gray", vmin=0, vmax=1)
    peak, share = float(weights.max()), float(weights.sum())
    extent = (-0.5, size - 0.5, size - 0.5, -0.5)
    relative = weights / max(peak, np.finfo(np.float32).tiny)
    opacity = MAX_OPACITY * relative**0.5
    axis.imshow(relative, COLOUR_MAP, vmin=0, vmax=1, alpha=opacity, extent=extent)
    text = f"max {peak:.1%}" + (f", sum {share:.0%}" if share < 0.995 else "")
    written = axis.text(0.03, 0.04, text, color="white", fontsize=7.5, transform=axis.transAxes)
    written.set_path_effects([withStroke(linewidth=2, foreground="black")])


def _mark_cell(axis: Axes, view: AttentionView, cells: int) -> None:
    """Frame the query cell, with lines that lead to it."""
    size = view.window.shape[0]
    side = size / cells
    x, y = ((c + 0.5) * side - 0.5 for c in view.cell)
    corner = (x - side / 2, y - side / 2)
    axis.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=QUERY_COLOUR, linewidth=1))
    for draw, along, across in ((axis.hlines, x, y), (axis.vlines, y, x)):
        starts = [-0.5, min(along + 2 * side, size - 0.5)]
        ends = [max(-0.5, along - 2 * side), size - 0.5]
        draw([across] * 2, starts, ends, color=QUERY_COLOUR, linewidth=0.5)
