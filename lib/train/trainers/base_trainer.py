"""Epochs from the newest checkpoint to the recipe's last one, a checkpoint after each.

Source: docs/method.md, sections 4 and 6. Randomness of the network follows from (seed, rank, epoch,
update), that of the data from (seed, epoch, sample): no generator's state has to be saved.
"""

import abc
import itertools
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from easydict import EasyDict

from lib.checkpoint.files import CheckpointError, check_finite
from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.weights import check_fit, released_contents
from lib.train.actors.aiatrack import AIATRACKActor
from lib.train.admin import distributed
from lib.train.admin.settings import Settings
from lib.train.admin.stats import Stats
from lib.train.data.loader import Loader
from lib.train.optimizer import restore_moments
from lib.train.trainers.checkpoints import (
    CheckpointFolder,
    check_resumable,
    fits_recipe,
    read_released,
    to_builtins,
)
from lib.train.trainers.clock import Clock
from lib.train.trainers.insides import OURS, RELEASED, check_built, check_numbers, is_ours
from lib.train.trainers.run_settings import batches_done, run_settings
from lib.utils.stopping import Stopped, StopRequest

logger = logging.getLogger(__name__)


# On the main process, after an epoch: (network, recipe, epoch) -> figures to log; empty: none.
OnEpoch = Callable[[AiATrack, EasyDict, int], dict[str, float]]


class TrainingParts(NamedTuple):
    """What a trainer trains with."""

    model: AiATrack  # the bare network: its state dict is what is saved
    actor: AIATRACKActor  # around the network, wrapped for distributed training or not
    optimizer: torch.optim.Optimizer
    train_loader: Loader
    val_loader: Loader | None
    on_epoch: OnEpoch | None = None


class BaseTrainer(abc.ABC):
    """The frame around epochs: resuming, saving, stopping. It starts before the first one."""

    def __init__(
        self, parts: TrainingParts, cfg: EasyDict, settings: Settings, device: torch.device
    ) -> None:
        self.parts, self.cfg = parts, cfg
        self.settings, self.device = settings, device
        self.scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
        self.epoch = 0  # completed
        self.batches_done = 0  # of the next epoch, on each process
        self.stats = Stats()  # of the epoch under way
        self.history: dict[str, dict[str, float]] = {}  # means by epoch, "train 12", "val 12"
        self.folder = CheckpointFolder(settings.checkpoint_folder, settings.keep)
        self.stop = StopRequest()
        self.clock = Clock(settings.until_seconds, device)
        self.finished = self.resumed = False  # by runs before this one, from one of them

    @abc.abstractmethod
    def train_epoch(self, epoch: int) -> dict[str, float]:
        """Train from batch `self.batches_done` to the epoch's end, or the time's; the means."""

    @abc.abstractmethod
    def validate(self, epoch: int, loader: Loader) -> dict[str, float]:
        """Evaluate the held-out batches and return the means."""

    @abc.abstractmethod
    def look_at_epoch(self) -> None:
        """Call `parts.on_epoch` on the main process, if there is one, and keep what it returns."""

    def train(self) -> dict[str, float]:
        """Train up to the recipe's last epoch, or the one or the time where this run is to end.

        Returns:
            Means of the last epoch's validation; of its training if it was not validated.

        Raises:
            Stopped: by a signal, after saving. CheckpointError: one could not be saved.
        """
        result: dict[str, float] = {}
        if self.finished:
            return self.history.get(f"val {self.epoch}", result)
        with self.stop:
            if self.resumed:  # and not from another's checkpoint, whose epoch is not this run's
                self._validate_if_due()
            last = min(self.cfg.TRAIN.EPOCH, self.settings.until or self.cfg.TRAIN.EPOCH)
            epochs = range(self.epoch + 1, last + 1)
            for epoch in epochs if self.clock.seconds is None else itertools.count(self.epoch + 1):
                self.clock.set_rates(self.parts.optimizer, self.cfg, epoch)
                result = self._record(f"train {epoch}", self.train_epoch(epoch))
                self.epoch, self.batches_done, self.stats = epoch, 0, Stats()
                self.save()
                if self.clock.is_up:
                    break
                if self.clock.seconds is None:  # else all of it is for training
                    self._validate_if_due()
                    self.look_at_epoch()
        return self.history.get(f"val {self.epoch}", result)

    def save(self) -> None:
        """Save from the main process."""
        if distributed.is_main():
            logger.info("saved %s", self.folder.save(self._contents()))

    def resume(self) -> None:
        """Go on from the newest good checkpoint, if there is one.

        Raises:
            CheckpointError: there are some, but no good one, or one of another recipe.
        """
        newest = distributed.broadcast_from_main(self._find_checkpoint)
        if newest is None:
            return
        path, contents = newest
        self.epoch, self.history = contents["epoch"], contents["stats"]["history"]
        if "net" not in contents:
            self.finished = True
            return
        check_fit(self.parts.model, contents["net"], path)
        check_finite(contents["net"], path)
        self.parts.model.load_state_dict(contents["net"])
        try:
            moments = restore_moments(self.parts.optimizer, self.parts.model, contents["optimizer"])
        except ValueError as error:
            raise CheckpointError(f"{path}: {error}; --init-from takes its weights alone") from None
        self.resumed = "settings" in contents
        if contents["scaler"]:
            self.scaler.load_state_dict(contents["scaler"])
        self.batches_done = contents["batches_done"]
        self.stats = Stats(contents["stats"]["under way"])
        within = f" and {self.batches_done} batches" if self.batches_done else ""
        logger.info(
            f"resuming after epoch {self.epoch}{within} from {path}: weights, and moments of "
            f"{moments} parameters"
        )

    def check_stop(self) -> None:
        """Save and raise Stopped if any process was told to stop; every process must call this."""
        number = self.stop.signal_number
        if not distributed.all_reduce_any(number is not None, self.device):
            return
        if self.batches_done:
            self.save()
        raise Stopped(number or signal.SIGTERM)

    def _find_checkpoint(self) -> tuple[Path, dict[str, Any]] | None:
        """Main process: the checkpoint to go on from, checked; of a finished run its history."""
        newest, last = self.folder.newest(self._check_insides), self.cfg.TRAIN.EPOCH
        source = self.settings.continue_from
        if source is not None and (newest is None or "batches_done" not in newest[1]):
            released = read_released(source, last)
            if newest is not None:
                self.folder.check_free(released["epoch"] + 1, last)
            return source, released
        if newest is None:
            logger.info("no checkpoint in %s: starting at epoch 1", self.folder.folder)
            return None
        path, contents = newest
        epoch, stats = contents.get("epoch", 0), contents.get("stats")
        history = stats.get("history", {}) if isinstance(stats, dict) else {}
        validated = not self._validates(last) or f"val {last}" in history
        if epoch >= last and (validated or "batches_done" not in contents):
            logger.warning(
                f"nothing to do: {path} is of epoch {epoch} and TRAIN.EPOCH is {last}. "
                f"To train on raise --epochs; to train anew choose another --save-dir"
            )
            return path, {"epoch": epoch, "stats": {"history": history}}
        check_resumable(path, contents, self.cfg)
        done = batches_done(path, contents, run_settings(self.cfg, self.settings))
        if not done and epoch not in self.folder.written:
            self.folder.written.append(epoch)  # before this list was saved
        self.folder.remove_old()  # which a killed run had no time for
        return path, {**contents, "batches_done": done}

    def _check_insides(self, path: Path, contents: dict[str, Any]) -> None:
        """Refuse a damaged checkpoint; one of another recipe is refused later, for good."""
        check_built(path, {"written": [], **contents}, OURS if is_ours(contents) else RELEASED)
        if is_ours(contents) and fits_recipe(path, contents["settings"]["recipe"], self.cfg):
            check_numbers(path, contents, self.parts.model)

    def _contents(self) -> dict[str, Any]:
        return {
            **released_contents(self.parts.model, self.epoch),
            "optimizer": self.parts.optimizer.state_dict(),
            "stats": {"history": self.history, "under way": self.stats.sums},
            "settings": {"recipe": to_builtins(self.cfg), **run_settings(self.cfg, self.settings)},
            "scaler": self.scaler.state_dict(),
            "batches_done": self.batches_done,
        }

    def _record(self, name: str, means: dict[str, float]) -> dict[str, float]:
        self.history[name] = means
        text = ", ".join(f"{key} {value:.4g}" for key, value in means.items())
        logger.info("epoch means, %s: %s", name, text)
        return means

    def _validate_if_due(self) -> None:
        """Validate after the last completed epoch, unless a run before this one did."""
        loader, name = self.parts.val_loader, f"val {self.epoch}"
        if loader is not None and self._validates(self.epoch) and name not in self.history:
            self._record(name, self.validate(self.epoch, loader))
            self.save()

    def _validates(self, epoch: int) -> bool:
        train = self.cfg.TRAIN
        due = epoch == train.EPOCH or (epoch > 0 and epoch % train.VAL_EPOCH_INTERVAL == 0)
        return due and self.batches_done == 0 and self.parts.val_loader is not None
