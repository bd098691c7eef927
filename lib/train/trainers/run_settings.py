"""How a run was started, as far as its numbers depend on it; going on with another split."""

import logging
from pathlib import Path
from typing import Any

import torch
from easydict import EasyDict

from lib.checkpoint.files import CheckpointError
from lib.train.admin import distributed
from lib.train.admin.settings import Settings

logger = logging.getLogger(__name__)


def run_settings(cfg: EasyDict, settings: Settings) -> dict[str, Any]:
    """What a checkpoint says of its run beside the recipe."""
    return {
        "config": settings.name,
        "seed": settings.seed,
        "processes": distributed.world_size(),
        "batch": cfg.TRAIN.BATCH_SIZE,
        "accumulate": settings.accumulate,
        "precision": settings.precision,
        "torch": str(torch.__version__),
    }


def batches_done(path: Path, contents: dict[str, Any], run: dict[str, Any]) -> int:
    """Batches of the epoch under way that are done on each process, in this run's split.

    An update takes the same consecutive samples in every split of one product of processes, batch
    and accumulation, so that it is the number of samples done that counts.

    Args:
        contents: of the checkpoint to go on from.
        run: this run's `run_settings`.

    Raises:
        CheckpointError: within an epoch, and an update is of another number of samples here.
    """
    saved, done = contents["settings"], contents["batches_done"]
    keys = ("seed", "processes", "batch", "accumulate", "precision")
    changed = [f"{k} {saved[k]} there, {run[k]} here" for k in keys if saved[k] != run[k]]
    if changed:
        logger.warning("not the same run to the bit: %s", "; ".join(changed))
    before, now = (of["processes"] * of["batch"] * of["accumulate"] for of in (saved, run))
    if done and before != now:
        raise CheckpointError(
            f"{path}: its run stopped within an epoch at {before} samples an update; here it "
            f"is {now}. Keep the product of processes, --batch-size and --accumulate, or move "
            f"that file away to go on from the epoch before"
        )
    return done * saved["processes"] * saved["batch"] // (run["processes"] * run["batch"])
