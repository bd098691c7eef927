"""Scores as rows, and rows as plain text, CSV, LaTeX or JSON records.

Figures are percent and stay unrounded until they are printed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lib.test.analysis.extract_results import FIGURES, Evaluation, common_sequences, figures

TITLES = {
    "otb": "OTB100",
    "nfs": "NfS30",
    "uav": "UAV123",
    "lasot": "LaSOT",
    "lasot_ext": "LaSOT extension",
    "trackingnet": "TrackingNet",
    "got10k_val": "GOT-10k validation",
    "demo": "the demo set",
    "own": "own data",
}
KEYS = ("dataset", "tracker", "protocol", "group", "sequences", "total", "frames")


class Row(NamedTuple):
    """One line of a table."""

    dataset: str
    tracker: str
    protocol: str
    group: str  # "all", an attribute, or a sequence
    sequences: int  # scored
    total: int  # in the data set; in a group, those scored
    frames: int  # the sum of the denominators
    figures: dict[str, float | None]  # percent, by the names in FIGURES


def overall_rows(evaluations: Sequence[Evaluation]) -> list[Row]:
    """One row for each run and protocol, over the sequences that all runs were scored on."""
    names = common_sequences(evaluations)
    return [_row(evaluation, "all", names) for evaluation in evaluations]


def sequence_rows(evaluations: Sequence[Evaluation]) -> list[Row]:
    """One row for each sequence, run and protocol; runs and protocols of a sequence together."""
    names = common_sequences(evaluations)
    return [_row(evaluation, name, [name]) for name in names for evaluation in evaluations]


def group_rows(evaluations: Sequence[Evaluation]) -> list[Row]:
    """One row for each attribute (or class), run and protocol; attributes in alphabetic order."""
    members: dict[str, list[str]] = {}
    for name in common_sequences(evaluations):
        for group in evaluations[0].groups[name]:
            members.setdefault(group, []).append(name)
    return [
        _row(evaluation, group, names)
        for group, names in sorted(members.items())
        for evaluation in evaluations
    ]


def records(rows: Iterable[Row]) -> list[dict[str, object]]:
    """Rows as flat dictionaries, for JSON: the keys of KEYS and of FIGURES."""
    return [dict(zip(KEYS, row[: len(KEYS)], strict=True)) | row.figures for row in rows]


def to_text(rows: Sequence[Row], digits: int = 2) -> str:
    """An aligned table; columns that are the same in all rows go into its title."""
    if not rows:
        return "(nothing to show)"
    body = [[*_labels(row, rows), *_numbers(row, digits)] for row in rows]
    header = [*_label_names(rows), *FIGURES]
    labels = len(header) - len(FIGURES)
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if index < labels else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [header, *body]
    ]
    return "\n".join([title(rows), *lines])


def title(rows: Sequence[Row]) -> str:
    """E.g. "LaSOT, 280 sequences, protocol lasot"."""
    parts = [TITLES.get(rows[0].dataset, rows[0].dataset)]
    if all(row.group == "all" for row in rows):
        count, total = rows[0].sequences, rows[0].total
        parts.append(f"{count} sequences" if count == total else f"{count} of {total} sequences")
    if len({row.protocol for row in rows}) == 1:
        parts.append(f"protocol {rows[0].protocol}")
    return ", ".join(parts)


def to_csv(rows: Iterable[Row]) -> str:
    """Comma-separated values with a header; figures unrounded, empty where not defined."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*KEYS, *FIGURES], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records(rows))
    return text.getvalue()


def to_latex(rows: Sequence[Row], digits: int = 1) -> str:
    """A `booktabs` table of one data set; the best figure of each column is bold.

    Rows of different groups or protocols are not compared with each other.
    """
    names = _label_names(rows)
    lines = [
        rf"\begin{{tabular}}{{{'l' * len(names)}{'c' * len(FIGURES)}}}",
        rf"\toprule % {_escape(title(rows))}",
        " & ".join([*names, *FIGURES]) + r" \\",
        r"\midrule",
    ]
    for row in rows:
        rivals = [r for r in rows if (r.group, r.protocol) == (row.group, row.protocol)]
        cells = [_escape(label) for label in _labels(row, rows)]
        for name, number in zip(FIGURES, _numbers(row, digits), strict=True):
            best = len(rivals) > 1 and _is_best(row, rivals, name)
            cells.append(rf"\textbf{{{number}}}" if best else number)
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _row(evaluation: Evaluation, group: str, names: Sequence[str]) -> Row:
    """The mean over the given sequences."""
    scores = [evaluation.scores[name] for name in names]
    frames = sum(item.frames for item in scores)
    total = len(evaluation.scores) + len(evaluation.missing) if group == "all" else len(scores)
    return Row(
        evaluation.dataset,
        evaluation.run,
        evaluation.protocol,
        group,
        len(scores),
        total,
        frames,
        figures(scores),
    )


def _label_names(rows: Sequence[Row]) -> list[str]:
    """Headers of the columns before the figures: only those that tell rows apart."""
    names = [] if all(row.group == "all" for row in rows) else ["group", "sequences"]
    names.append("tracker")
    return names + (["protocol"] if len({row.protocol for row in rows}) > 1 else [])


def _labels(row: Row, rows: Sequence[Row]) -> list[str]:
    """The cells of a row before its figures."""
    return [str(getattr(row, name)) for name in _label_names(rows)]


def _numbers(row: Row, digits: int) -> list[str]:
    """The figures of a row as text; a dash where not defined."""
    values = [row.figures[name] for name in FIGURES]
    return ["-" if value is None else f"{value:.{digits}f}" for value in values]


def _is_best(row: Row, rivals: Sequence[Row], name: str) -> bool:
    """Whether no rival has a higher figure."""
    values = [rival.figures[name] for rival in rivals]
    return None not in values and row.figures[name] == max(values)


def _escape(text: str) -> str:
    """Text for LaTeX."""
    return "".join(f"\\{c}" if c in "_&%#$" else c for c in text)
