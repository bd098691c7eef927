"""What tests run in processes of their own; importable there by name."""

import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lib.config.aiatrack.config import load_config
from lib.models.aiatrack.build import build_aiatrack
from lib.train.actors.aiatrack import AIATRACKActor, LossWeights
from lib.train.admin import distributed
from lib.train.admin.settings import Settings
from lib.train.data.batch import CompactSample
from lib.train.data.loader import build_loader
from lib.train.run_training import run
from lib.train.trainers.base_trainer import OnEpoch
from tests.train.tiny import Rectangles, tiny_samplers


def write_gradients(recipe: Path, path: Path, batch_size: int) -> None:
    """Save the gradients of one batch of `batch_size` samples in each process.

    Batch norm is held fixed: its statistics are per process, so they differ by design.
    """
    with distributed.process_group(torch.device("cpu")):
        torch.manual_seed(distributed.rank())  # rank 0's weights are to be everyone's
        model = build_aiatrack(load_config(recipe)).train()
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        net = nn.parallel.DistributedDataParallel(model) if distributed.world_size() > 1 else model
        loader = build_loader(
            Rectangles(),
            batch_size=batch_size,
            workers=0,
            seed=3,
            epoch_length=4,
            rank=distributed.rank(),
            world_size=distributed.world_size(),
        )
        batch = next(iter(loader)).to("cpu")
        AIATRACKActor(net, LossWeights())(batch).loss.backward()
        if distributed.is_main():
            torch.save({name: p.grad for name, p in model.named_parameters()}, path)


class BreaksOnRankOne(Rectangles):
    """Draws nothing in process 1."""

    def draw(self, generator: np.random.Generator) -> CompactSample:
        """Raise on rank 1."""
        if distributed.rank() == 1:
            raise ValueError("no sample for rank one")
        return super().draw(generator)


def run_tiny(settings: Settings, on_epoch: OnEpoch | None = None) -> dict[str, float]:
    """Train on rectangles; stands in for lib.train.run_training.run."""
    return run(settings, tiny_samplers, on_epoch)


def run_broken(settings: Settings, on_epoch: OnEpoch | None = None) -> dict[str, float]:
    """Train, but for process 1."""
    return run(settings, lambda cfg: (BreaksOnRankOne(), None), on_epoch)


def main(entry: str, arguments: list[str]) -> int:
    """Run tracking/train.py with another entry for its processes."""
    from tracking import train

    train.run = globals()[entry]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    return train.main(arguments)
