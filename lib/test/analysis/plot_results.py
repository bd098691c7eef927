"""Success, precision and normalised precision plots, as PNG and PDF for a paper.

Uses Matplotlib's objects without `pyplot`, so that no screen and no global state is involved.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.test.analysis import metrics
from lib.test.analysis.extract_results import Evaluation, common_sequences, figures, mean_curve
from lib.test.analysis.tables import dataset_title
from lib.utils.files import atomic_path

# Okabe and Ito's colours, told apart by colour-blind readers; dashes tell them apart in grey.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
MAX_INSIDE = 5  # curves whose legend lies within the plot
STYLE: dict[Any, Any] = {  # of Matplotlib's own, version-dependent types
    "font.family": "serif",
    "font.serif": ["Times New Roman", "STIXGeneral", "DejaVu Serif"],
    "mathtext.fontset": "stix",
    "font.size": 11,
    "axes.linewidth": 0.8,
    "pdf.fonttype": 42,  # editable text; Type 3 fonts are refused by many venues
}


class Plot(NamedTuple):
    """What distinguishes the three plots."""

    curve: str  # field of SequenceScore; stem of the file name
    figure: str  # the figure that orders the legend
    read_at: float | None  # threshold that the figure is read at; None: area under the curve
    thresholds: np.ndarray
    x_label: str

    @property
    def title(self) -> str:
        """E.g. "Normalised precision"."""
        return self.curve.replace("_", " ").capitalize()


PIXELS, SIZES = (f"Location error threshold ({x})" for x in ("pixels", "fraction of target size"))
PLOTS = (
    Plot("success", "AUC", None, metrics.SUCCESS_THRESHOLDS, "Overlap threshold"),
    Plot("precision", "P", 20.0, metrics.PRECISION_THRESHOLDS, PIXELS),
    Plot("normalised_precision", "NormP", 0.2, metrics.NORMALISED_THRESHOLDS, SIZES),
)


class RankedCurve(NamedTuple):
    """One run's curve in a plot."""

    run: str
    colour: int  # index of the run
    score: float  # the plot's figure, percent
    shares: list[float]  # percent at the plot's thresholds


def rank_curves(plot: Plot, evaluations: Sequence[Evaluation]) -> list[RankedCurve]:
    """Curves of runs under one protocol over the sequences that all have, the best first."""
    names = common_sequences(evaluations)
    curves = []
    for index, evaluation in enumerate(evaluations):
        scores = [evaluation.scores[name] for name in names]
        shares = (100 * mean_curve(scores, plot.curve)).tolist()
        curves.append(RankedCurve(evaluation.run, index, figures(scores)[plot.figure], shares))
    return sorted(curves, key=lambda curve: (-curve.score, curve.colour))


def defined_plots(evaluations: Sequence[Evaluation]) -> list[Plot]:
    """The PLOTS that the protocol defines."""
    scores = evaluations[0].scores
    defined = figures([scores[name] for name in common_sequences(evaluations)])
    return [plot for plot in PLOTS if plot.figure in defined]


def plot_all(evaluations: Sequence[Evaluation], folder: Path) -> list[Path]:
    """Draw the plots that the protocol defines, over the sequences that all runs have.

    Returns:
        The files written: `<plot>_<protocol>.png` and `.pdf`; the folder is made if missing.
    """
    written = []
    for plot in defined_plots(evaluations):
        with matplotlib.rc_context(STYLE):
            figure = draw(plot, evaluations)
            for kind in ("png", "pdf"):
                path = folder / f"{plot.curve}_{evaluations[0].protocol}.{kind}"
                with atomic_path(path) as temporary:
                    figure.savefig(temporary, format=kind, dpi=300, bbox_inches="tight")
                written.append(path)
    return written


def draw(plot: Plot, evaluations: Sequence[Evaluation]) -> Figure:
    """One plot with a curve for each run, the legend sorted by score; see `rank_curves`."""
    figure = Figure(figsize=(4.6, 3.8))
    axes = figure.add_subplot()
    curves = rank_curves(plot, evaluations)
    for rank, curve in enumerate(curves):
        axes.plot(
            plot.thresholds,
            curve.shares,
            color=COLOURS[curve.colour % len(COLOURS)],
            linestyle=DASHES[curve.colour // len(COLOURS) % len(DASHES)],
            linewidth=1.8,
            zorder=3 - rank / len(curves),  # the best lies on top
            label=f"{curve.run} [{curve.score:.1f}]",
        )
    # The kept quirk of `otb` can pass 100.
    axes.set_ylim(0, max(100, *(max(curve.shares) for curve in curves)))
    _finish(axes, plot, dataset_title(evaluations[0].dataset))
    return figure


def _finish(axes: Axes, plot: Plot, dataset: str) -> None:
    axes.set(title=f"{plot.title} on {dataset}", xlabel=plot.x_label, ylabel=f"{plot.title} (%)")
    axes.set(xlim=(plot.thresholds[0], plot.thresholds[-1]), yticks=range(0, 101, 20))
    axes.grid(True, color="0.85", linewidth=0.6)
    axes.set_axisbelow(True)
    if plot.read_at is not None:
        axes.axvline(plot.read_at, color="0.5", linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    look: dict[str, Any] = {"framealpha": 0.9, "edgecolor": "0.8", "fancybox": False}
    look |= {"fontsize": 9, "handlelength": 2.4}
    if len(axes.lines) > MAX_INSIDE:
        axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0, **look)
    else:
        axes.legend(loc="lower left" if plot.read_at is None else "lower right", **look)
