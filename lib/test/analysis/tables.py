"""Scores as rows, and rows as plain text, CSV, LaTeX or JSON records.

Figures are percent and stay unrounded until they are printed.
"""

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


class Row(NamedTuple):
    """One line of a table."""

    dataset: str
    tracker: str
    protocol: str
    group: str  # "all", an attribute, or a sequence
    sequences: int  # scored
    total: int  # in the data set; in a group, those scored
    frames: int  # the sum of the denominators
    figures: dict[str, float]  # percent, those of FIGURES that the protocol defines


KEYS = Row._fields[:-1]


def overall_rows(evaluations: Sequence[Evaluation]) -> list[Row]:
    """One row for each run and protocol, over the sequences that all runs were scored on."""
    names = common_sequences(evaluations)
    return [_row(evaluation, "all", names) for evaluation in evaluations]


def sequence_rows(evaluations: Sequence[Evaluation]) -> list[Row]:
    """One row for each sequence, run and protocol; runs and protocols of a sequence together."""
    names = common_sequences(evaluations)
    return [_row(item, name, [name]) for name in names for item in evaluations]


def group_rows(evaluations: Sequence[Evaluation]) -> list[Row]:
    """One row for each attribute (or class), run and protocol; attributes in alphabetic order."""
    groups = group_members(evaluations).items()
    return [_row(item, group, names) for group, names in groups for item in evaluations]


def group_members(evaluations: Sequence[Evaluation]) -> dict[str, list[str]]:
    """Sequences of each attribute (or class) that every run was scored on, in alphabetic order."""
    members: dict[str, list[str]] = {}
    for name in common_sequences(evaluations):
        for group in evaluations[0].truths[name].groups:
            members.setdefault(group, []).append(name)
    return dict(sorted(members.items()))


def records(rows: Iterable[Row]) -> list[dict[str, object]]:
    """Rows as flat dictionaries: KEYS, then FIGURES, unrounded and None where not defined."""
    return [
        {key: getattr(row, key) for key in KEYS} | {name: row.figures.get(name) for name in FIGURES}
        for row in rows
    ]


def to_text(rows: Sequence[Row], digits: int = 2) -> str:
    """An aligned table; columns that are the same in all rows go into its title."""
    if not rows:
        return "(nothing to show)"
    columns = []
    for cells in zip(*_cells(rows, digits), strict=True):
        side = ">" if cells[0] in FIGURES else "<"
        columns.append([f"{cell:{side}{max(map(len, cells))}}" for cell in cells])
    lines = ["  ".join(line).rstrip() for line in zip(*columns, strict=True)]
    return "\n".join([title(rows), *lines])


def title(rows: Sequence[Row]) -> str:
    """E.g. "LaSOT, 280 sequences, protocol lasot"."""
    parts = [dataset_title(rows[0].dataset)]
    if all(row.group == "all" for row in rows):
        count, total = rows[0].sequences, rows[0].total
        parts.append(f"{count} sequences" if count == total else f"{count} of {total} sequences")
    if len({row.protocol for row in rows}) == 1:
        parts.append(f"protocol {rows[0].protocol}")
    return ", ".join(parts)


def dataset_title(dataset: str) -> str:
    """A data set's name as people write it."""
    return TITLES.get(dataset, dataset)


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
    header, *body = _cells(rows, digits)
    lines = [
        rf"\begin{{tabular}}{{{'l' * (len(header) - len(FIGURES))}{'c' * len(FIGURES)}}}",
        rf"\toprule % {_escape_latex(title(rows))}",
        " & ".join(header) + r" \\",
        r"\midrule",
    ]
    for row, cells in zip(rows, body, strict=True):
        rivals = [r for r in rows if (r.group, r.protocol) == (row.group, row.protocol)]
        best = {name: max(rival.figures[name] for rival in rivals) for name in row.figures}
        texts = []
        for name, cell in zip(header, cells, strict=True):
            is_best = len(rivals) > 1 and name in best and row.figures[name] == best[name]
            texts.append(rf"\textbf{{{cell}}}" if is_best else _escape_latex(cell))
        lines.append(" & ".join(texts) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _row(evaluation: Evaluation, group: str, names: Sequence[str]) -> Row:
    scores = [evaluation.scores[name] for name in names]
    all_sequences = len(evaluation.scores) + len(evaluation.missing)
    total, frames = all_sequences if group == "all" else len(scores), sum(s.frames for s in scores)
    labels = (evaluation.dataset, evaluation.run, evaluation.protocol, group)
    return Row(*labels, len(scores), total, frames, figures(scores))


def _cells(rows: Sequence[Row], digits: int) -> list[list[str]]:
    """A header and a line for each row: labels that tell rows apart, figures or dashes."""
    labels = [] if all(row.group == "all" for row in rows) else ["group", "sequences"]
    labels += ["tracker", "protocol"] if len({row.protocol for row in rows}) > 1 else ["tracker"]
    lines = [[*labels, *FIGURES]]
    for row in rows:
        values = [row.figures.get(name) for name in FIGURES]
        numbers = ["-" if value is None else f"{value:.{digits}f}" for value in values]
        lines.append([*(str(getattr(row, name)) for name in labels), *numbers])
    return lines


def _escape_latex(text: str) -> str:
    return "".join(f"\\{c}" if c in "_&%#$" else c for c in text)
