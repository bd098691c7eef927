"""One epoch: checked updates, and the validation. Source: docs/method.md, section 4."""

import contextlib
import logging
import math
import time
from collections.abc import Iterator
from typing import NoReturn

import numpy as np
import torch
from easydict import EasyDict
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from lib.checkpoint.files import save_checkpoint
from lib.cli.progress import progress
from lib.train.actors.aiatrack import AIATRACKActor
from lib.train.admin import distributed
from lib.train.admin.settings import Settings
from lib.train.admin.stats import Stats
from lib.train.admin.tensorboard import TensorboardWriter
from lib.train.data.batch import Batch
from lib.train.data.loader import Loader
from lib.train.trainers.base_trainer import BaseTrainer, TrainingParts
from lib.train.trainers.checkpoints import set_aside
from lib.train.trainers.step import NonFiniteStep, to_floats, update_weights

logger = logging.getLogger(__name__)


class NonFiniteError(FloatingPointError):
    """A loss or a gradient is NaN or infinite; nothing was updated with it."""


class LTRTrainer(BaseTrainer):
    """Trains with losses on batches; the name is that of the released code."""

    def __init__(
        self, parts: TrainingParts, cfg: EasyDict, settings: Settings, device: torch.device
    ) -> None:
        super().__init__(parts, cfg, settings, device)
        self.writer = TensorboardWriter(settings.tensorboard_folder)
        # The bare network: validation on the ranks needs no exchange within the forward pass.
        actor = parts.actor
        self._val_actor = AIATRACKActor(
            parts.model, actor.weights, actor.autocast, absent=actor.absent
        )
        self._window = Stats()  # since the last printed line

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """Train from batch `batches_done` to the epoch's end; see BaseTrainer."""
        loader, accumulate = self.parts.train_loader, self.settings.accumulate
        updates = len(loader) // accumulate
        if updates == 0:
            raise ValueError(
                f"an epoch has {len(loader)} batches a process, fewer than the {accumulate} to "
                f"accumulate; raise DATA.TRAIN.SAMPLE_PER_EPOCH or lower --accumulate"
            )
        # The epoch's batches, but for those of an interrupted run before this one.
        self.parts.model.train()
        loader.set_epoch(epoch, first_batch=self.batches_done)
        batches = iter(loader)
        self._window = Stats()
        with self._bar(f"epoch {epoch}", updates, self.batches_done // accumulate) as bar:
            for update in range(self.batches_done // accumulate, updates):
                self.check_stop()
                # Load a group, update the weights from it.
                begin = time.perf_counter()
                group = [
                    next(batches).to(self.device, non_blocking=True) for _ in range(accumulate)
                ]
                waited = time.perf_counter() - begin
                self._update(epoch, update, group)
                self.batches_done += accumulate
                # Note and report how it went.
                seconds, samples = time.perf_counter() - begin, sum(len(b.search) for b in group)
                self._window.update({"seconds a sample": seconds / samples}, samples)
                self._window.update({"data wait": waited / seconds}, seconds)
                bar.update()
                self.clock.set_rates(self.parts.optimizer, self.cfg, epoch)
                ends = update + 1 == updates or self.clock.is_up
                if (update + 1) % self.cfg.TRAIN.PRINT_INTERVAL == 0 or ends:
                    self._report(epoch, update, updates)
                if self.clock.is_up:
                    break
            else:  # what fills no group; at the end the loader checks how many images were broken
                for _ in batches:
                    pass
        logger.info(
            f"since the start: {loader.delivered} samples, {loader.rejected} unusable draws, "
            f"{loader.broken} draws with an unreadable image"
        )
        return self.stats.means(self.device)

    def validate(self, epoch: int, loader: Loader) -> dict[str, float]:
        """Measure the losses on held-out batches, the same ones each time; see BaseTrainer."""
        stats, actor = Stats(), self._val_actor
        self.parts.model.eval()
        loader.set_epoch(0)
        with torch.no_grad(), self._bar(f"validation {epoch}", len(loader)) as bar:
            for number, compact in enumerate(loader):
                self.check_stop()
                batch = compact.to(self.device, non_blocking=True)
                output = actor(batch)
                stats.update(to_floats(output), len(batch.search))
                bar.update()
                if number == 0 and distributed.is_main():
                    # Once more, as the losses are not to learn of the own box's score.
                    net, weights, autocast = actor.net, actor.weights, actor.autocast
                    drawn = AIATRACKActor(net, weights, autocast, score_own=True)(batch)
                    self.writer.batch("val/batch", batch, drawn.box_xyxy, drawn.score, epoch)
        means = stats.means(self.device)
        self.writer.scalars("val", means, epoch)
        return means

    def look_at_epoch(self) -> None:
        """See BaseTrainer; the other processes wait at their next exchange."""
        look = self.parts.on_epoch
        if look is not None and distributed.is_main():
            if figures := look(self.parts.model, self.cfg, self.epoch):
                self._record(f"track {self.epoch}", figures)
                self.writer.scalars("track", figures, self.epoch)

    def _update(self, epoch: int, update: int, group: list[Batch]) -> None:
        self._seed(epoch, update)
        actor, optimizer = self.parts.actor, self.parts.optimizer
        clip_norm = self.cfg.TRAIN.GRAD_CLIP_NORM
        try:
            result = update_weights(actor, optimizer, self.scaler, group, clip_norm)
        except NonFiniteStep as error:
            self._refuse(epoch, update, error)
        for stats in (self.stats, self._window):
            for terms, batch in zip(result.terms_per_batch, group, strict=True):
                stats.update(terms, len(batch.search))
            if math.isfinite(result.norm):
                stats.update({"gradient norm": result.norm})
        if update == 0 and (epoch == 1 or epoch % self.cfg.TRAIN.VAL_EPOCH_INTERVAL == 0):
            last = result.last
            self.writer.batch("train/batch", group[-1], last.box_xyxy, last.score, epoch)

    def _seed(self, epoch: int, update: int) -> None:
        key = (self.settings.seed, distributed.rank(), epoch, update)  # fixes the dropout
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))

    def _refuse(self, epoch: int, update: int, error: NonFiniteStep) -> NoReturn:
        """Save the batch and raise NonFiniteError with step and terms."""
        rank = distributed.rank()
        name = f"nonfinite_ep{epoch:04d}_update{update:06d}_rank{rank}.pt"
        path = self.settings.checkpoint_folder / name
        if path.exists():
            set_aside(path)
        contents = {**error.batch._asdict(), "terms": error.terms}
        try:
            save_checkpoint(path, {**contents, "net": self.parts.model.state_dict()})
            saved = f"batch and weights are saved in {path}"
        except (OSError, RuntimeError) as failure:
            saved = f"saving the batch failed too: {failure}"
        terms = ", ".join(f"{name} {value}" for name, value in error.terms.items())
        raise NonFiniteError(
            f"epoch {epoch}, update {update}, rank {rank}: not finite: {terms}. "
            f"Nothing was updated; {saved}. Samples: {'; '.join(error.batch.source)}"
        ) from None

    def _report(self, epoch: int, update: int, updates: int) -> None:
        """Log the means since the last line, over all processes, as text and curves."""
        means = self._window.means(self.device)
        self._window = Stats()
        means["samples/s"] = distributed.world_size() / means.pop("seconds a sample")
        rest, backbone = (group["lr"] for group in self.parts.optimizer.param_groups)
        step = (epoch - 1) * updates + update + 1
        self.writer.scalars("train", means, step)
        self.writer.scalars("learning rate", {"rest": rest, "backbone": backbone}, step)
        text = ", ".join(f"{name} {value:.4g}" for name, value in means.items())
        logger.info("epoch %d [%d/%d] %s", epoch, update + 1, updates, text)

    @contextlib.contextmanager
    def _bar(self, name: str, total: int, initial: int = 0) -> Iterator[tqdm]:
        """Show the main process's progress; on a terminal log lines stay whole beside it."""
        place = {"total": total, "initial": initial, "leave": False}
        bar = progress(None, name, unit="batches", **place, disable=not distributed.is_main())
        with logging_redirect_tqdm(), bar:
            yield bar
