"""Where two evaluations of the same sequences differ: between runs, and between protocols."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lib.test.analysis.bootstrap import CONFIDENCE, Interval, paired_intervals
from lib.test.analysis.extract_results import Evaluation, common_sequences, figures
from lib.test.analysis.tables import group_members


class Change(NamedTuple):
    """One sequence under two evaluations; figures in percent."""

    sequence: str
    before: float
    after: float

    @property
    def difference(self) -> float:
        """Points gained, negative where lost."""
        return self.after - self.before


class Difference(NamedTuple):
    """A figure of two runs, in percent, over the same sequences."""

    group: str  # "all" or an attribute
    sequences: int
    figure: str
    before: float
    after: float
    interval: Interval  # of `after - before`, points


def compare_runs(before: Evaluation, after: Evaluation, figure: str = "AUC") -> list[Change]:
    """Change of one figure on every sequence that both runs have, the greatest gain first.

    Raises:
        ValueError: two data sets or protocols, or the protocol does not define the figure.
    """
    _check_pair(before, after)
    changes = []
    for name in common_sequences([before, after]):
        old, new = figures([before.scores[name]]), figures([after.scores[name]])
        if figure not in old:
            raise ValueError(f"protocol {before.protocol} does not define {figure}")
        changes.append(Change(name, old[figure], new[figure]))
    return sorted(changes, key=lambda change: (-change.difference, change.sequence))


def differences(before: Evaluation, after: Evaluation, *, groups: bool = True) -> list[Difference]:
    """Every figure over all sequences that both runs have, then over each attribute.

    Args:
        groups: attributes are wanted.

    Raises:
        ValueError: two data sets or protocols.
    """
    _check_pair(before, after)
    pair = [before, after]
    members = {"all": common_sequences(pair)} | (group_members(pair) if groups else {})
    found = []
    for group, names in members.items():
        per_run = [[figures([run.scores[name]]) for name in names] for run in pair]
        defined = list(per_run[0][0]) if names else []
        old, new = (np.array([[row[f] for f in defined] for row in rows]) for rows in per_run)
        intervals = paired_intervals(new - old) if defined else []
        means = zip(defined, old.mean(axis=0), new.mean(axis=0), intervals, strict=True)
        found += [Difference(group, len(names), f, float(a), float(b), i) for f, a, b, i in means]
    return found


def runs_text(
    before: Evaluation, after: Evaluation, figure: str = "AUC", *, groups: bool = False
) -> str:
    """By how much a run is better, whether that is more than chance, and on which sequences.

    With `groups`, the same for each attribute. Raises as `compare_runs`.
    """
    changes = compare_runs(before, after, figure)
    better = [change for change in changes if change.difference > 0]
    worse = [change for change in reversed(changes) if change.difference < 0]
    equal = len(changes) - len(better) - len(worse)
    mean = sum(change.difference for change in changes) / max(len(changes), 1)
    lines = [
        f"{before.run} -> {after.run} on {before.dataset}, {figure} ({before.protocol}): "
        f"{mean:+.2f} over {len(changes)} sequences; "
        f"{len(better)} better, {len(worse)} worse, {equal} equal",
        f"  {CONFIDENCE:.0%} interval of the difference (paired bootstrap over sequences):",
    ]
    for item in differences(before, after, groups=groups):
        if item.figure == figure:
            lines.append(f"    {item.group:<24} {_change(item.before, item.after)} {item.interval}")
    for heading, part in (("better", better), ("worse", worse)):
        lines += [f"  {heading}:"] if part else []
        lines += [f"    {name:<24} {_change(old, new)}" for name, old, new in part]
    return "\n".join(lines)


def _change(before: float, after: float) -> str:
    return f"{before:7.2f} -> {after:6.2f} ({after - before:+.2f})"


def _check_pair(before: Evaluation, after: Evaluation) -> None:
    if (before.dataset, before.protocol) != (after.dataset, after.protocol):
        raise ValueError(
            f"cannot compare {before.run} on {before.dataset} ({before.protocol}) "
            f"with {after.run} on {after.dataset} ({after.protocol})"
        )


def protocols_text(evaluations: Sequence[Evaluation]) -> str:
    """For one run: the sequences whose frame counts or figures differ from the first protocol's."""
    first, *others = evaluations
    lines = []
    for other in others:
        names, differences = common_sequences([first, other]), []
        for name in names:
            left, right = first.scores[name], other.scores[name]
            old, new = figures([left]), figures([right])
            if (left.frames, old) != (right.frames, new):
                differences.append(
                    f"    {name:<24} {left.frames:>6} -> {right.frames:>6} frames  "
                    f"AUC {old['AUC']:.2f} -> {new['AUC']:.2f}"
                )
        lines.append(
            f"{first.run}: {first.protocol} and {other.protocol} differ on {len(differences)} of "
            f"{len(names)} sequences"
        )
        lines += differences
    return "\n".join(lines)
