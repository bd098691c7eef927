"""From result files to scores: find each run's files, read them once, score under each protocol.

The rules are in `protocols.py`, the truth comes from `lib.test.evaluation.datasets`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.cli.progress import progress
from lib.io.load_text import load_boxes
from lib.test.analysis.protocols import SequenceScore, score
from lib.test.evaluation.base_set import TestSet
from lib.test.evaluation.data import Truth
from lib.test.evaluation.results import box_file, find_results, verified

FIGURES = ("AUC", "OP50", "OP75", "P", "NormP", "AO")
WRONG = "files that cannot be used"  # the kind of what is missing though it is there


class Run(NamedTuple):
    """One tracker's results: a name for tables, and the folders that may hold them."""

    name: str
    folders: tuple[Path, ...]  # of a tracker and recipe each, tried in order


class Evaluation(NamedTuple):
    """The scores of one run on one data set under one protocol; dictionaries are by sequence."""

    run: str
    dataset: str
    protocol: str
    folder: Path | None  # where the results lie; None: nowhere
    scores: dict[str, SequenceScore]  # in the data set's order
    truths: Mapping[str, Truth]  # of all sequences that any run has
    boxes_xywh: Mapping[str, np.ndarray]  # (m, 4) as predicted, in pixels of the image
    missing: dict[str, str]  # why a sequence could not be scored: a kind, ": ", and what is wrong


def extract(
    annotations: TestSet, runs: Sequence[Run], protocols: Sequence[str]
) -> list[Evaluation]:
    """Score every run on a data set under every protocol; runs first, then protocols.

    A sequence whose annotation or result cannot be used is missing, and the others are scored.
    """
    # Truths are read once for all runs, boxes once for all protocols.
    files = [result_files(run, annotations) for run in runs]
    names = [name for name in annotations.names if any(name in paths for _, paths in files)]
    truths, unusable = _read_truths(annotations, names)
    evaluations = []
    for run, (folder, paths) in zip(runs, files, strict=True):
        missing = {name: "no result" for name in annotations.names if name not in paths}
        missing |= {name: why for name, why in unusable.items() if name in paths}
        boxes = {}
        scored = [name for name in truths if name in paths]
        for name in progress(
            scored, f"reading {run.name} on {annotations.dataset}", unit="results"
        ):
            with _noted(missing, name):
                boxes[name] = load_boxes(verified(paths[name], name))
        for protocol in protocols:
            scores, unscored = {}, dict(missing)
            for name, prediction in boxes.items():
                with _noted(unscored, name, f"{paths[name]}: "):
                    scores[name] = score(protocol, prediction, truths[name])
            labels = (run.name, annotations.dataset, protocol, folder)
            evaluations.append(Evaluation(*labels, scores, truths, boxes, unscored))
    return evaluations


def common_sequences(evaluations: Sequence[Evaluation]) -> list[str]:
    """Sequences that every run was scored on, in order; only these make runs comparable."""
    first, *others = evaluations
    return [name for name in first.scores if all(name in other.scores for other in others)]


def figures(scores: Sequence[SequenceScore]) -> dict[str, float]:
    """Means over sequences of those FIGURES that the protocol defines, in percent."""
    if not scores:
        return {}
    success = mean_curve(scores, "success")
    precision = mean_curve(scores, "precision")
    normalised = mean_curve(scores, "normalised_precision")
    overlap = np.mean([item.average_overlap for item in scores])
    shares = (success.mean(), success[10], success[15], precision[20], normalised[20], overlap)
    named = zip(FIGURES, shares, strict=True)
    return {name: 100 * float(share) for name, share in named if not np.isnan(share)}


def mean_curve(scores: Sequence[SequenceScore], curve: str) -> np.ndarray:
    """Mean over sequences of the field `curve` of `SequenceScore`, e.g. "success" (21,)."""
    return np.mean([getattr(item, curve) for item in scores], axis=0)


def result_files(run: Run, annotations: TestSet) -> tuple[Path | None, dict[str, Path]]:
    """The folder of a run on a test set, and the box file of each sequence that it has."""
    for base in run.folders:
        folder = find_results(base, annotations.dataset, annotations.names)
        if folder is not None:
            paths = {name: box_file(folder, name) for name in annotations.names}
            return folder, {name: path for name, path in paths.items() if path.exists()}
    return None, {}


def _read_truths(
    annotations: TestSet, names: Sequence[str]
) -> tuple[dict[str, Truth], dict[str, str]]:
    """Annotations by sequence, and why others are missing."""
    truths: dict[str, Truth] = {}
    unusable: dict[str, str] = {}
    for name in progress(names, f"reading the truth of {annotations.dataset}", unit="sequences"):
        with _noted(unusable, name):
            try:
                truths[name] = annotations.truth(name)
            except FileNotFoundError as error:
                unusable[name] = f"no annotation: {error.filename}"
    return truths, unusable


@contextmanager
def _noted(missing: dict[str, str], name: str, prefix: str = "") -> Iterator[None]:
    """Note that a sequence is missing where the block cannot read or score it, and go on."""
    try:
        yield
    except (OSError, ValueError) as error:
        missing[name] = f"{WRONG}: {prefix}{error}"
