"""Batches for training: which sample goes where, in which worker, from which seed.

Sample number n of an epoch follows from (seed, epoch, n) alone: batches do not depend on the number
of workers, and two processes with half the batch size see together what one with the whole sees.
"""

import logging
import os
import signal
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from lib.train.data.batch import CompactBatch, CompactSample, collate

logger = logging.getLogger(__name__)

MAX_BROKEN = 0.01  # share of all draws that may meet an unreadable image
MIN_DRAWS = 1000  # before that, only the end of an epoch checks the share
TERM_TIMEOUT = 20  # seconds that a worker goes on after SIGTERM


class BrokenDataError(RuntimeError):
    """Too many images could not be read."""


class Sampler(Protocol):
    """Draws a sample with the randomness of a generator, such as a TrackingSampler."""

    def draw(self, generator: np.random.Generator) -> CompactSample: ...


@dataclass
class SampledDataset(Dataset):
    """A sampler as a map from (epoch, number) to a sample."""

    sampler: Sampler
    seed: int

    def __getitem__(self, key: tuple[int, int]) -> CompactSample:
        return self.sampler.draw(np.random.default_rng((self.seed, *key)))


@dataclass
class EpochBatchSampler:
    """The (epoch, number) keys of this rank's batches.

    A global batch is `world_size * batch_size` consecutive numbers; rank r takes the r-th part.
    """

    batch_size: int
    rank: int
    world_size: int
    epoch_length: int
    epoch: int = 0
    first_batch: int = 0

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for batch in range(self.first_batch, len(self)):
            start = (batch * self.world_size + self.rank) * self.batch_size
            yield [(self.epoch, start + i) for i in range(self.batch_size)]

    def __len__(self) -> int:
        return self.epoch_length // (self.batch_size * self.world_size)


class Loader:
    """Iterate over an epoch's batches and count what had to be drawn anew.

    Samples carry the names of the unreadable images they met, so that the process that trains
    counts them exactly, whatever the number of workers; each rank checks its own.
    """

    def __init__(self, batch_sampler: EpochBatchSampler, loader: DataLoader) -> None:
        self._batch_sampler = batch_sampler
        self._loader = loader
        self.delivered = 0  # samples since the start
        self.rejected = 0  # unusable draws
        self.broken = 0  # draws with an unreadable image
        self._messages: set[str] = set()
        weakref.finalize(self, _end_workers, loader)  # also before the interpreter exits

    def __len__(self) -> int:
        return len(self._loader)

    def set_epoch(self, epoch: int, first_batch: int = 0) -> None:
        """Set what the next iteration yields; it leaves out `first_batch` batches."""
        self._batch_sampler.epoch, self._batch_sampler.first_batch = epoch, first_batch

    def __iter__(self) -> Iterator[CompactBatch]:
        """Yield batches; BrokenDataError if more than 1% of the draws met an unreadable image."""
        for batch in self._loader:
            self.delivered += len(batch.source)
            self.rejected += int(batch.rejected.sum())
            for message in (line for lines in batch.broken for line in lines.splitlines()):
                self.broken += 1
                if message not in self._messages:  # log each once
                    self._messages.add(message)
                    logger.warning("unreadable image, another sample is drawn: %s", message)
            self._check_broken(MIN_DRAWS)
            yield batch
        self._check_broken(min_draws=1)

    def _check_broken(self, min_draws: int) -> None:
        draws = self.delivered + self.rejected + self.broken
        if self.broken > MAX_BROKEN * max(draws, min_draws):
            names = "\n  ".join(sorted(self._messages)[:5])
            raise BrokenDataError(
                f"{self.broken} of {draws} draws met an unreadable image, more than "
                f"{MAX_BROKEN:.0%}; check the data. Among them:\n  {names}"
            )


def build_loader(
    sampler: Sampler,
    *,
    batch_size: int,
    workers: int,
    seed: int,
    epoch_length: int,
    rank: int = 0,
    world_size: int = 1,
    pin_memory: bool = False,
) -> Loader:
    """Load batches of drawn samples.

    Args:
        batch_size: samples per batch in this process.
        workers: processes that load; 0 loads in this one.
        epoch_length: samples over all ranks; what does not fill a batch on each is left out.
        pin_memory: deliver batches in memory that a GPU copies from by itself.

    Raises:
        ValueError: an epoch does not hold one batch on every rank, or a number is out of range.
    """
    if batch_size < 1 or workers < 0 or not 0 <= rank < world_size:
        raise ValueError(
            f"batch_size {batch_size} must be at least 1, workers {workers} at least 0, "
            f"rank {rank} in 0..{world_size - 1}"
        )
    if epoch_length < batch_size * world_size:
        raise ValueError(
            f"an epoch of {epoch_length} samples does not fill one batch of {batch_size} on each "
            f"of {world_size} processes; lower the batch size or raise DATA.TRAIN.SAMPLE_PER_EPOCH"
        )
    batch_sampler = EpochBatchSampler(batch_size, rank, world_size, epoch_length)
    loader = DataLoader(
        SampledDataset(sampler, seed),
        batch_sampler=batch_sampler,
        collate_fn=collate,
        num_workers=workers,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        worker_init_fn=_start_worker,
    )
    return Loader(batch_sampler, loader)


def _end_workers(loader: DataLoader) -> None:
    """End persistent workers, as PyTorch does on dropping its iterator: tracebacks may hold it."""
    shutdown = getattr(getattr(loader, "_iterator", None), "_shutdown_workers", None)
    if shutdown is not None:
        shutdown()


def _start_worker(worker: int) -> None:
    """Keep a worker to one core, and let the training process answer stop signals.

    It saves, then ends its workers. So a worker ignores SIGINT and goes on for a while after
    SIGTERM, but ends then, since the interpreter's exit sends SIGTERM and waits.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(TERM_TIMEOUT))
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
