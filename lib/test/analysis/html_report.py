"""Evaluations as one HTML page that needs nothing beside itself.

The page is `page/report.html.j2` with its style and script inside; here is what goes into it.
Numbers come from `tables.py`, curves from `plot_results.py`, pictures from `frame_strips.py`.
"""

import contextlib
from collections.abc import Sequence
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np

from lib.cli.progress import progress
from lib.io.load_text import load_column
from lib.test.analysis import tables
from lib.test.analysis.compare import Change, Difference, compare_runs, differences
from lib.test.analysis.extract_results import Evaluation, common_sequences
from lib.test.analysis.frame_strips import MAX_PICTURES, Strip, StripMaker, worst_sequences
from lib.test.analysis.plot_results import Plot, RankedCurve, defined_plots, rank_curves
from lib.test.analysis.report import Report, missing_text, notes_text
from lib.test.evaluation.results import time_file
from lib.utils.files import atomic_write_text

TEMPLATES = Path(__file__).parent / "page"
EXPLAINED = {
    "AUC": "area under the success curve",
    "OP50": "share of frames with an overlap above 0.50",
    "OP75": "share of frames with an overlap above 0.75",
    "P": "share of frames with the centre within 20 pixels",
    "NormP": "share of frames with the centre within 0.2 of the target's size",
    "AO": "mean overlap",
}
MAX_CHANGES = 12  # of a comparison, before the rest


class Chart(NamedTuple):
    """Success, precision or normalised precision."""

    plot: Plot
    thresholds: list[float]
    top: float  # of the axis, percent
    curves: list[RankedCurve]  # the best first


class Comparison(NamedTuple):
    before: str
    after: str
    changes: list[Change]  # the largest first, gain or loss
    largest: float  # points; at least 1, for the bars
    overall: Difference
    groups: list[Difference]  # of attributes


class Part(NamedTuple):
    """One data set under one protocol."""

    title: str  # of the data set
    protocol: str
    evaluations: list[Evaluation]
    figures: list[str]  # those that the protocol defines
    overall: list[tables.Row]  # in the order of the evaluations
    ranking: list[int]  # their numbers, the best first
    speeds: list[float | None]  # of the evaluations, frames a second; None: not known
    groups: list[tables.Row]
    rows: list[tables.Row]  # of single sequences, the worst first
    charts: list[Chart]
    comparisons: list[Comparison]
    strips: list[Strip]
    missing: str
    notes: str


def write_html(
    path: Path, reports: Sequence[Report], root: Path | None = None, figure: str = "AUC"
) -> None:
    """Write a page about all reports of which something was scored, whole or not at all.

    `root` is as for `make_report`, and frames are looked for there too; runs are compared by
    `figure`. ValueError: nothing was scored at all. OSError: `path` cannot be written.
    """
    parts, budget = [], MAX_PICTURES
    for report in reports:
        maker = StripMaker(report.dataset, root, budget)
        for protocol in report.protocols:
            if common_sequences(report.of_protocol(protocol)):
                parts.append(make_part(report, protocol, maker, figure))
        budget = maker.budget
    if not parts:
        raise ValueError("nothing is scored: there is no HTML report to write")
    atomic_write_text(path, render(parts, datetime.now().astimezone()))


def make_part(report: Report, protocol: str, maker: StripMaker, figure: str) -> Part:
    """Gather what the page says of one data set under one protocol."""
    evaluations = report.of_protocol(protocol)
    overall, worst = tables.overall_rows(evaluations), worst_sequences(evaluations)
    return Part(
        title=tables.dataset_title(report.dataset),
        protocol=protocol,
        evaluations=evaluations,
        figures=list(overall[0].figures),
        overall=overall,
        ranking=sorted(range(len(overall)), key=lambda i: -next(iter(overall[i].figures.values()))),
        speeds=[frames_a_second(item) for item in evaluations],
        groups=tables.group_rows(evaluations),
        rows=sorted(tables.sequence_rows(evaluations), key=lambda row: row.figures["AUC"]),
        charts=[_chart(plot, evaluations) for plot in defined_plots(evaluations)],
        comparisons=[_comparison(*pair, figure) for pair in combinations(evaluations, 2)],
        strips=[maker.strip(name, evaluations) for name in progress(worst, "drawing strips")],
        missing=missing_text(report),
        notes=notes_text(report),
    )


def frames_a_second(evaluation: Evaluation) -> float | None:
    """Speed of the tracker over all scored sequences, first frames left out; None: not stored."""
    if evaluation.folder is None:
        return None
    seconds = []
    for name in evaluation.scores:
        with contextlib.suppress(OSError, ValueError):
            seconds.append(load_column(time_file(evaluation.folder, name))[1:])
    total = float(sum(map(np.sum, seconds)))
    return sum(map(len, seconds)) / total if total > 0 else None


def render(parts: Sequence[Part], made: datetime) -> str:
    """Fill the template; every text is escaped."""
    loader, undefined = jinja2.FileSystemLoader(TEMPLATES), jinja2.StrictUndefined
    environment = jinja2.Environment(
        loader=loader, undefined=undefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.get_template("report.html.j2")
    return template.render(parts=parts, made=made, explained=EXPLAINED, max_changes=MAX_CHANGES)


def _chart(plot: Plot, evaluations: Sequence[Evaluation]) -> Chart:
    curves = rank_curves(plot, evaluations)
    curves = [c._replace(shares=[round(share, 3) for share in c.shares]) for c in curves]
    top = max(100.0, *(max(curve.shares) for curve in curves))
    return Chart(plot, [round(float(t), 4) for t in plot.thresholds], top, curves)


def _comparison(before: Evaluation, after: Evaluation, figure: str) -> Comparison:
    changes = compare_runs(before, after, figure)
    changes.sort(key=lambda change: (-abs(change.difference), change.sequence))
    overall, *groups = [d for d in differences(before, after) if d.figure == figure]
    largest = max(1.0, abs(changes[0].difference))
    return Comparison(before.run, after.run, changes, largest, overall, groups)
