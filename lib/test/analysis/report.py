"""One data set's evaluation as a user reads it: what was scored, what is missing, what differs.

`tracking/analysis_results.py` prints it. Missing and wrong files are part of a report.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lib.test.analysis import tables
from lib.test.analysis.compare import differences, protocols_text, runs_text
from lib.test.analysis.extract_results import WRONG, Evaluation, Run, common_sequences, extract
from lib.test.analysis.protocols import default_protocol
from lib.test.evaluation.datasets import open_annotations
from lib.test.evaluation.environment import FOLDERS, dataset_path
from lib.utils.messages import list_problems


class Report(NamedTuple):
    """The evaluations of all runs on one data set, runs first, then protocols."""

    dataset: str
    protocols: tuple[str, ...]
    evaluations: list[Evaluation]

    def of_protocol(self, protocol: str) -> list[Evaluation]:
        """The runs under one protocol."""
        return [item for item in self.evaluations if item.protocol == protocol]


def make_report(
    dataset: str, runs: Sequence[Run], protocols: Sequence[str] = (), root: Path | None = None
) -> Report:
    """Score runs, whose names differ, on a data set (a key of `datasets.SCORED`).

    Args:
        protocols: keys of `protocols.PROTOCOLS`; none: the one the paper used.
        root: folder of the annotation, or a folder of data sets; None: as set for the project.

    Raises:
        FileNotFoundError: the annotation's folder is not there.
        ValueError: unknown data set or protocol; two runs of one name.
    """
    names = [run.name for run in runs]
    if len(set(names)) != len(names):
        raise ValueError(f"runs need different names; given: {', '.join(names)}")
    chosen = tuple(dict.fromkeys(protocols)) or (default_protocol(dataset),)
    annotations = open_annotations(dataset, annotation_root(dataset, root))
    return Report(dataset, chosen, extract(annotations, runs, chosen))


def annotation_root(dataset: str, root: Path | None) -> Path:
    """Where the annotation lies: the given folder, the data set's folder in it, or the setting.

    Raises:
        ValueError: unknown data set. FileNotFoundError: the setting's folder is not there.
    """
    if dataset not in FOLDERS:
        raise ValueError(f"unknown data set {dataset!r}; there are {', '.join(FOLDERS)}")
    if root is None:
        return dataset_path(dataset).require(f"annotation of {dataset}")
    inside = root / FOLDERS[dataset][1]
    return inside if inside.is_dir() else root


def select_rows(
    report: Report, *, groups: bool = False, sequences: bool = False
) -> list[list[tables.Row]]:
    """Tables of a report: the overall one, then those asked for; empty if nothing is scored."""
    if not common_sequences(report.evaluations):
        return []
    makers = [tables.overall_rows]
    makers += [tables.group_rows] if groups else []
    makers += [tables.sequence_rows] if sequences else []
    return [rows for make in makers if (rows := make(report.evaluations))]


def is_complete(report: Report) -> bool:
    """True if every run was scored on every sequence under every protocol."""
    return not any(item.missing for item in report.evaluations)


def missing_text(report: Report, named: int | None = None) -> str:
    """Which sequences of which run could not be scored, and why; empty if none.

    Args:
        named: so many of a kind are named, the others counted; None: all are named.
    """
    blocks = []
    for evaluation in report.evaluations:
        total = len(evaluation.scores) + len(evaluation.missing)
        kinds: dict[str, list[str]] = {}
        for name, reason in evaluation.missing.items():
            kinds.setdefault(reason.partition(": ")[0], []).append(name)
        for kind, names in kinds.items():
            reasons = [evaluation.missing[name].partition(": ")[2] for name in names]
            example = evaluation.folder if kind == WRONG else reasons[0] or evaluation.folder
            blocks.append(
                f"{evaluation.run} on {report.dataset}: {kind} for {len(names)} of {total} "
                f"sequences{f' ({example})' if example else ''}: {', '.join(names[:named])}"
                + (f" and {len(names[named:])} more" if named and names[named:] else "")
            )
            if kind == WRONG:
                blocks.append(textwrap.indent(list_problems(reasons), "  "))
    return "\n".join(dict.fromkeys(blocks))  # protocols mostly miss the same


def notes_text(report: Report) -> str:
    """What was fixed in results before scoring; empty if nothing."""
    lines = []
    for item in report.evaluations:
        for name, score in item.scores.items():
            place = f"{item.run} on {report.dataset}, {name} ({item.protocol})"
            lines += [f"{place}: {note}" for note in score.notes]
    return list_problems(lines)


def differences_text(report: Report) -> str:
    """Where several protocols disagree, run by run; empty for one protocol."""
    runs: dict[str, list[Evaluation]] = {}
    for item in report.evaluations:
        runs.setdefault(item.run, []).append(item)
    return "\n".join(text for items in runs.values() if (text := protocols_text(items)))


def comparison_text(report: Report, figure: str, *, groups: bool = False) -> str:
    """Every later run against the first, under each protocol; empty for one run."""
    pairs = _pairs(report)
    return "\n".join(runs_text(first, other, figure, groups=groups) for first, other in pairs)


def comparison_records(report: Report) -> dict[tuple[str, ...], dict[str, Any]]:
    """What JSON says of differences from the first run, by data set, run, protocol and group."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for first, other in _pairs(report):
        for item in differences(first, other):
            key = (report.dataset, other.run, other.protocol, item.group)
            entry = found.setdefault(key, {"compared_with": first.run, "differences": {}})
            value = {"difference": item.after - item.before, **item.interval._asdict()}
            entry["differences"][item.figure] = value
    return found


def _pairs(report: Report) -> list[tuple[Evaluation, Evaluation]]:
    """The first run with each later one, under each protocol."""
    runs = [report.of_protocol(protocol) for protocol in report.protocols]
    return [(first, other) for first, *others in runs for other in others]
