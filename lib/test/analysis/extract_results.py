"""From result files to scores: find each run's files, read them once, score under each protocol.

The rules are in `protocols.py`, the truth comes from `lib.test.evaluation.datasets`; tables and
plots of the outcome are in `tables.py`, `compare.py` and `plot_results.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.io.load_text import load_boxes
from lib.test.analysis.protocols import SequenceScore, score
from lib.test.evaluation.data import Truth
from lib.test.evaluation.datasets import Annotations
from lib.test.evaluation.results import box_file, find_results

FIGURES = ("AUC", "OP50", "OP75", "P", "NormP", "AO")


class Run(NamedTuple):
    """One tracker's results: a name for tables, and the folders that may hold them."""

    name: str
    folders: tuple[Path, ...]  # of a tracker and recipe each, tried in order


class Evaluation(NamedTuple):
    """The scores of one run on one data set under one protocol."""

    run: str
    dataset: str
    protocol: str
    folder: Path | None  # where the results lie; None: nowhere
    scores: dict[str, SequenceScore]  # by sequence, in the data set's order
    groups: dict[str, tuple[str, ...]]  # attributes by sequence
    missing: dict[str, str]  # why a sequence could not be scored


class ScoringError(ValueError):
    """Result or annotation files that cannot be scored; one line for each."""


def extract(
    annotations: Annotations, runs: Sequence[Run], protocols: Sequence[str]
) -> list[Evaluation]:
    """Score every run on a data set under every protocol; runs first, then protocols.

    Raises:
        ScoringError: files that are there but wrong (unreadable, too short); names each.
    """
    problems: list[str] = []
    files = [_result_files(run, annotations) for run in runs]
    wanted = [name for name in annotations.names if any(name in found for _, found in files)]
    truths, unannotated = _read_truths(annotations, wanted, problems)
    evaluations = []
    for run, (folder, found) in zip(runs, files, strict=True):
        missing = {name: "no result" for name in annotations.names if name not in found}
        missing |= {name: why for name, why in unannotated.items() if name in found}
        boxes = _read_boxes({name: found[name] for name in truths if name in found}, problems)
        for protocol in protocols:
            scores = _score_all(protocol, boxes, truths, found, problems)
            groups = {name: truths[name].groups for name in scores}
            evaluations.append(
                Evaluation(run.name, annotations.dataset, protocol, folder, scores, groups, missing)
            )
    if problems:
        raise ScoringError("\n".join(dict.fromkeys(problems)))
    return evaluations


def common_sequences(evaluations: Sequence[Evaluation]) -> list[str]:
    """Sequences that every run was scored on, in order; only these make runs comparable."""
    first, *others = evaluations
    return [name for name in first.scores if all(name in other.scores for other in others)]


def figures(scores: Sequence[SequenceScore]) -> dict[str, float | None]:
    """Means over sequences of the figures in FIGURES, in percent; None where not defined."""
    if not scores:
        return dict.fromkeys(FIGURES)
    success, precision, normalised = mean_curves(scores)
    overlap = float(np.mean([item.average_overlap for item in scores]))
    shares = (success.mean(), success[10], success[15], precision[20], normalised[20], overlap)
    return {
        name: None if np.isnan(share) else 100 * float(share)
        for name, share in zip(FIGURES, shares, strict=True)
    }


def mean_curves(scores: Sequence[SequenceScore]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Success (21,), precision (51,) and normalised precision (51,), means over sequences."""
    return (
        np.mean([item.success for item in scores], axis=0),
        np.mean([item.precision for item in scores], axis=0),
        np.mean([item.normalised for item in scores], axis=0),
    )


def _result_files(run: Run, annotations: Annotations) -> tuple[Path | None, dict[str, Path]]:
    """The folder of a run's results and its files by sequence."""
    for base in run.folders:
        folder = find_results(base, annotations.dataset, annotations.names)
        if folder is not None:
            paths = {name: box_file(folder, name) for name in annotations.names}
            return folder, {name: path for name, path in paths.items() if path.is_file()}
    return None, {}


def _read_truths(
    annotations: Annotations, names: Sequence[str], problems: list[str]
) -> tuple[dict[str, Truth], dict[str, str]]:
    """Annotations by sequence, and why some are not there; what is wrong goes to `problems`."""
    truths, unannotated = {}, {}
    for name in names:
        try:
            truths[name] = annotations.read(name)
        except FileNotFoundError as error:
            unannotated[name] = f"no annotation: {error.filename}"
        except ValueError as error:
            problems.append(str(error))
    return truths, unannotated


def _read_boxes(files: dict[str, Path], problems: list[str]) -> dict[str, np.ndarray]:
    """Predicted boxes (m, 4) by sequence; what cannot be read goes to `problems`."""
    boxes = {}
    for name, path in files.items():
        try:
            boxes[name] = load_boxes(path)
        except ValueError as error:
            problems.append(str(error))
    return boxes


def _score_all(
    protocol: str,
    boxes: dict[str, np.ndarray],
    truths: dict[str, Truth],
    files: dict[str, Path],
    problems: list[str],
) -> dict[str, SequenceScore]:
    """Scores by sequence; a sequence that cannot be scored goes to `problems` with its file."""
    scores = {}
    for name, prediction in boxes.items():
        try:
            scores[name] = score(protocol, prediction, truths[name])
        except ValueError as error:
            problems.append(f"{files[name]}: {error}")
    return scores
