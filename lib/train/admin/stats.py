"""Running means of what a training logs."""

import torch

from lib.train.admin import distributed


class AverageMeter:
    """Sum and count of a number."""

    def __init__(self, total: float = 0.0, count: float = 0.0) -> None:
        self.total = total
        self.count = count

    def update(self, value: float, count: float = 1) -> None:
        """Add `value`, the mean of `count` items."""
        self.total += value * count
        self.count += count

    @property
    def mean(self) -> float:
        """Mean so far; NaN before the first update."""
        return self.total / self.count if self.count else float("nan")


class Stats(dict[str, AverageMeter]):
    """Meters by name."""

    def update_all(self, values: dict[str, float], count: float = 1) -> None:
        """Add to several meters, making those that are missing."""
        for name, value in values.items():
            self.setdefault(name, AverageMeter()).update(value, count)

    def means(self, device: torch.device) -> dict[str, float]:
        """Mean of every meter, averaged over processes, each of which must call this.

        Args:
            device: that the processes communicate from.
        """
        if not self:
            return {}
        means = [meter.mean for meter in self.values()]
        values = torch.tensor(means, dtype=torch.float64, device=device)
        return dict(zip(self, distributed.mean(values).tolist(), strict=True))

    def to_builtins(self) -> dict[str, list[float]]:
        """As [total, count] by name, for checkpoints."""
        return {name: [meter.total, meter.count] for name, meter in self.items()}

    @classmethod
    def from_builtins(cls, sums: dict[str, list[float]]) -> "Stats":
        """Undo `to_builtins`."""
        return cls({name: AverageMeter(*values) for name, values in sums.items()})
