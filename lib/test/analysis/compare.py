"""Where two evaluations of the same sequences differ: between runs, and between protocols."""

from collections.abc import Sequence
from typing import NamedTuple

from lib.test.analysis.extract_results import Evaluation, common_sequences, figures


class Change(NamedTuple):
    """One sequence under two evaluations; figures in percent."""

    sequence: str
    before: float
    after: float

    @property
    def difference(self) -> float:
        """Points gained, negative where lost."""
        return self.after - self.before


def compare_runs(before: Evaluation, after: Evaluation, figure: str = "AUC") -> list[Change]:
    """Change of one figure on every sequence that both runs have, the greatest gain first.

    Raises:
        ValueError: two data sets or protocols, or the protocol does not define the figure.
    """
    if (before.dataset, before.protocol) != (after.dataset, after.protocol):
        raise ValueError(
            f"cannot compare {before.run} on {before.dataset} ({before.protocol}) "
            f"with {after.run} on {after.dataset} ({after.protocol})"
        )
    changes = []
    for name in common_sequences([before, after]):
        old, new = figures([before.scores[name]]), figures([after.scores[name]])
        if figure not in old:
            raise ValueError(f"protocol {before.protocol} does not define {figure}")
        changes.append(Change(name, old[figure], new[figure]))
    return sorted(changes, key=lambda change: (-change.difference, change.sequence))


def runs_text(before: Evaluation, after: Evaluation, figure: str = "AUC") -> str:
    """Which sequences got better and which got worse, by how much."""
    changes = compare_runs(before, after, figure)
    better = [change for change in changes if change.difference > 0]
    worse = [change for change in reversed(changes) if change.difference < 0]
    equal = len(changes) - len(better) - len(worse)
    mean = sum(change.difference for change in changes) / max(len(changes), 1)
    lines = [
        f"{before.run} -> {after.run} on {before.dataset}, {figure} ({before.protocol}): "
        f"{mean:+.2f} over {len(changes)} sequences; "
        f"{len(better)} better, {len(worse)} worse, {equal} equal"
    ]
    for heading, part in (("better", better), ("worse", worse)):
        lines += [f"  {heading}:"] if part else []
        for name, old, new in part:
            lines.append(f"    {name:<24} {old:7.2f} -> {new:6.2f} ({new - old:+.2f})")
    return "\n".join(lines)


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
