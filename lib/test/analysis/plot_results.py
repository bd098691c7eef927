"""Success, precision and normalised precision plots, as PNG and PDF for a paper.

Uses Matplotlib's objects without `pyplot`, so that no screen and no global state is involved.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.test.analysis import metrics
from lib.test.analysis.extract_results import Evaluation, common_sequences, figures, mean_curves
from lib.test.analysis.tables import TITLES
from lib.utils.files import atomic_path

# Okabe and Ito's colours, told apart by colour-blind readers; dashes tell them apart in grey.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
STYLE = {
    "font.family": "serif",
    "font.serif": ["Times New Roman", "STIXGeneral", "DejaVu Serif"],
    "mathtext.fontset": "stix",
    "font.size": 11,
    "axes.linewidth": 0.8,
    "pdf.fonttype": 42,  # editable text; Type 3 fonts are refused by many venues
}


class Plot(NamedTuple):
    """What distinguishes the three plots."""

    file: str  # stem of the file name
    title: str
    x_label: str
    thresholds: np.ndarray
    figure: str  # the figure that orders the legend
    read_at: float | None  # threshold that the figure is read at; None: area under the curve


PLOTS = (
    Plot("success", "Success", "Overlap threshold", metrics.SUCCESS_THRESHOLDS, "AUC", None),
    Plot(
        "precision",
        "Precision",
        "Location error threshold (pixels)",
        metrics.PRECISION_THRESHOLDS,
        "P",
        20.0,
    ),
    Plot(
        "normalised_precision",
        "Normalised precision",
        "Location error threshold (fraction of target size)",
        metrics.NORMALISED_THRESHOLDS,
        "NormP",
        0.2,
    ),
)


class RankedCurve(NamedTuple):
    """One run's curve in a plot."""

    score: float  # the plot's figure, percent
    index: int  # of the run, for its colour
    run: str
    shares: np.ndarray  # percent at the plot's thresholds


def rank_curves(plot: Plot, curve: int, evaluations: Sequence[Evaluation]) -> list[RankedCurve]:
    """Curves over the sequences that all runs have, the best first.

    Args:
        plot: a member of PLOTS; the protocol must define its figure.
        curve: its index in PLOTS.
    """
    entries = []
    for index, evaluation in enumerate(evaluations):
        scores = _scores(evaluation, evaluations)
        shares = 100 * mean_curves(scores)[curve]
        entries.append(RankedCurve(figures(scores)[plot.figure], index, evaluation.run, shares))
    return sorted(entries, key=lambda entry: (-entry.score, entry.index))


def defined_plots(evaluations: Sequence[Evaluation]) -> list[tuple[int, Plot]]:
    """The plots that the protocol defines, with their index in PLOTS."""
    defined = figures(_scores(evaluations[0], evaluations))
    return [(i, plot) for i, plot in enumerate(PLOTS) if defined[plot.figure] is not None]


def plot_all(evaluations: Sequence[Evaluation], folder: Path) -> list[Path]:
    """Draw the plots that the protocol defines, over the sequences that all runs have.

    Args:
        evaluations: runs on one data set under one protocol.
        folder: made if missing; files are `<plot>_<protocol>.png` and `.pdf`.

    Returns:
        The files written.
    """
    protocol = evaluations[0].protocol
    written = []
    for index, plot in defined_plots(evaluations):
        with matplotlib.rc_context(STYLE):
            figure = draw(plot, index, evaluations)
            for kind in ("png", "pdf"):
                path = folder / f"{plot.file}_{protocol}.{kind}"
                with atomic_path(path) as temporary:
                    figure.savefig(temporary, format=kind, dpi=300, bbox_inches="tight")
                written.append(path)
    return written


def draw(plot: Plot, curve: int, evaluations: Sequence[Evaluation]) -> Figure:
    """One plot with a curve a run, the legend sorted by score.

    Args:
        plot: a member of PLOTS.
        curve: which of `mean_curves`, its index in PLOTS.
        evaluations: runs on one data set under one protocol.
    """
    figure = Figure(figsize=(4.6, 3.8))
    axes = figure.add_subplot()
    ranked = rank_curves(plot, curve, evaluations)
    for rank, (score, index, name, shares) in enumerate(ranked):
        axes.plot(
            plot.thresholds,
            shares,
            color=COLOURS[index % len(COLOURS)],
            linestyle=DASHES[index // len(COLOURS) % len(DASHES)],
            linewidth=1.8,
            zorder=3 - rank / len(ranked),  # the best lies on top
            label=f"{name} [{score:.1f}]",
        )
    _finish(axes, plot, TITLES.get(evaluations[0].dataset, evaluations[0].dataset))
    return figure


def _scores(evaluation: Evaluation, evaluations: Sequence[Evaluation]) -> list:
    """Scores of one run on the sequences that all have."""
    return [evaluation.scores[name] for name in common_sequences(evaluations)]


def _finish(axes: Axes, plot: Plot, dataset: str) -> None:
    """Limits, labels, grid and legend."""
    axes.set_title(f"{plot.title} on {dataset}")
    axes.set_xlabel(plot.x_label)
    axes.set_ylabel(f"{plot.title} (%)")
    axes.set_xlim(plot.thresholds[0], plot.thresholds[-1])
    top = max(line.get_ydata().max() for line in axes.lines)
    axes.set_ylim(0, max(100, top))  # the kept quirk of `otb` can pass 100
    axes.set_yticks(range(0, 101, 20))
    axes.grid(True, color="0.85", linewidth=0.6)
    axes.set_axisbelow(True)
    if plot.read_at is not None:
        axes.axvline(plot.read_at, color="0.5", linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    axes.legend(
        loc="lower left" if plot.read_at is None else "lower right",
        fontsize=9,
        framealpha=0.9,
        edgecolor="0.8",
        fancybox=False,
        handlelength=2.4,
    )
