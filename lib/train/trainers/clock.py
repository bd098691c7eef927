"""A training that ends on time: learning rates follow the share of it that is over."""

import time

import torch
from easydict import EasyDict

from lib.train.admin import distributed
from lib.train.optimizer import set_learning_rates


class Clock:
    """The time that a run has, counted from here on."""

    def __init__(self, seconds: int | None, device: torch.device) -> None:
        """seconds: None is for ever."""
        self.seconds, self.device = seconds, device
        self.is_up = False
        self._start = time.monotonic()

    def set_rates(self, optimizer: torch.optim.Optimizer, cfg: EasyDict, epoch: int) -> None:
        """Set the rates of an epoch, or with a limit those of the share of the time that is over.

        Every process must call this, as they agree on the share; it notes whether time is up.
        """
        if self.seconds is None:
            set_learning_rates(optimizer, cfg, epoch)
            return
        elapsed = torch.tensor(time.monotonic() - self._start, device=self.device)
        over = min(distributed.mean(elapsed).item() / self.seconds, 1.0)
        set_learning_rates(optimizer, cfg, 1 + over * cfg.TRAIN.EPOCH)
        self.is_up = over == 1
