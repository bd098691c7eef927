"""Running means of what a training logs."""

import torch

from lib.train.admin import distributed


class Stats:
    """Sums and counts of numbers by name."""

    def __init__(self, sums: dict[str, list[float]] | None = None) -> None:
        """Start empty, or with [sum, count] by name, as a checkpoint holds them."""
        self.sums = dict(sums or {})

    def update(self, values: dict[str, float], count: float = 1) -> None:
        """Add to several sums, each value the mean of `count` items."""
        for name, value in values.items():
            total, number = self.sums.get(name, (0.0, 0.0))
            self.sums[name] = [total + value * count, number + count]

    def means(self, device: torch.device) -> dict[str, float]:
        """Mean of each, averaged over processes (on `device`), each of which must call this."""
        if not self.sums:
            return {}
        means = [total / count for total, count in self.sums.values()]
        values = torch.tensor(means, dtype=torch.float64, device=device)
        return dict(zip(self.sums, distributed.mean(values).tolist(), strict=True))
