"""One training process from its first line to its exit: device, process group, log, training.

Started by tracking/train.py, directly or once per GPU by torchrun's launcher.
"""

import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
import yaml
from easydict import EasyDict
from torch import nn

from lib.train.admin import distributed
from lib.train.admin.run_lock import sole_training
from lib.train.admin.settings import Settings
from lib.train.build import (
    BuildSamplers,
    build_actor_and_optimizer,
    build_loaders,
    build_network,
    recipe_samplers,
)
from lib.train.failures import told_failures
from lib.train.trainers.base_trainer import OnEpoch, TrainingParts
from lib.train.trainers.checkpoints import to_builtins
from lib.train.trainers.ltr_trainer import LTRTrainer
from lib.utils.device import choose_device, usable_cores
from lib.utils.paths import PROJECT_ROOT

logger = logging.getLogger(__name__)

RECIPE_BATCH = 120  # 15 on each of 8 GPUs: what the published learning rate is for


def run(
    settings: Settings,
    build_samplers: BuildSamplers = recipe_samplers,
    on_epoch: OnEpoch | None = None,
) -> dict[str, float]:
    """Train in this process, by default on the recipe's data sets; `on_epoch`: see TrainingParts.

    Returns:
        Means of the last validation, or of the last epoch; empty if there was nothing to do.

    Raises:
        SystemExit: 128 + signal number, if a signal ended the run after saving; 1 for what a user
            can mend, which is logged in one line.
        Exception: a bug, after logging it with the rank.
    """
    with told_failures(bugs=False):
        device = choose_local_device(settings.device)
        with distributed.process_group(device), _own_folder(settings), _logging(settings):
            with told_failures(bugs=True):
                return train(settings, device, build_samplers, on_epoch)


def train(
    settings: Settings,
    device: torch.device,
    build_samplers: BuildSamplers,
    on_epoch: OnEpoch | None = None,
) -> dict[str, float]:
    """Train a recipe in this process, together with the others of its group; returns as `run`."""
    cfg = settings.recipe()
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        # Leave the loading processes their cores: threads that wait for a busy one cost a lot.
        cores = usable_cores() // distributed.processes_here()
        torch.set_num_threads(max(1, cores - cfg.TRAIN.NUM_WORKER))
    torch.manual_seed(settings.seed)
    shipped = PROJECT_ROOT / cfg.TRAIN.INIT_FROM if cfg.TRAIN.INIT_FROM else None
    start = settings.continue_from or settings.init_from or shipped
    model = build_network(cfg, start, settings.backbone_weights).to(device)
    if distributed.is_main():
        check_space(settings.checkpoint_folder, model)
    _log_plan(cfg, settings, model, device)
    train_loader, val_loader = build_loaders(cfg, settings, device, build_samplers)
    actor, optimizer = build_actor_and_optimizer(model, cfg, settings, device)
    parts = TrainingParts(model, actor, optimizer, train_loader, val_loader, on_epoch)
    trainer = LTRTrainer(parts, cfg, settings, device)
    try:
        trainer.resume()
        if not trainer.finished:
            trainer.writer.text("recipe", yaml.safe_dump(to_builtins(cfg), sort_keys=False))
        return trainer.train()
    finally:
        trainer.writer.close()


def check_space(folder: Path, model: nn.Module) -> None:
    """Raise OSError if a checkpoint, weights and two moments, does not fit on the folder's disk."""
    tensors = list(model.state_dict().values())
    tensors += 2 * [p for p in model.parameters() if p.requires_grad]
    there = next(path for path in (folder, *folder.parents) if path.exists())
    needed, free = sum(t.nbytes for t in tensors), shutil.disk_usage(there).free
    if free < needed:
        sizes = f"{free / 2**20:.1f} MiB are free, and a checkpoint takes {needed / 2**20:.1f}"
        raise OSError(f"{folder}: {sizes}; make room, or choose another --save-dir")


def choose_local_device(name: str) -> torch.device:
    """Resolve "auto", "cpu" or "cuda": this process's own GPU; ValueError if there is none."""
    device = choose_device("auto") if name == "auto" else torch.device(name)
    if device.type == "cpu":
        return device
    index, count = distributed.local_rank(), torch.cuda.device_count()
    if index >= count:
        raise ValueError(
            f"local rank {index} needs GPU {index}, and {count} are visible; "
            f"lower --nproc or use --device cpu"
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def _log_plan(cfg: EasyDict, settings: Settings, model: nn.Module, device: torch.device) -> None:
    processes, batch, train = distributed.world_size(), cfg.TRAIN.BATCH_SIZE, cfg.TRAIN
    effective = processes * batch * settings.accumulate
    logger.info(
        f"effective batch {effective} = {batch} samples x {settings.accumulate} accumulated x "
        f"{processes} processes; learning rate {train.LR:g}, backbone "
        f"{train.LR * train.BACKBONE_MULTIPLIER:g}; {train.EPOCH} epochs of "
        f"{cfg.DATA.TRAIN.SAMPLE_PER_EPOCH} samples"
    )
    if settings.name.startswith("baseline") and effective != RECIPE_BATCH:
        logger.warning(
            f"the published recipe has batches of {RECIPE_BATCH} (15 on each of 8 GPUs); "
            f"--batch-size and --accumulate reach that on fewer"
        )
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad) / 1e6
    norm = "all processes" if settings.sync_bn else "each process's own batch"
    logger.info(
        f"{settings.name}: {parameters:.2f} M parameters, {trained:.2f} M trained, on {device}, "
        f"precision {settings.precision}; the heads' batch norm takes its statistics over {norm}"
    )


def _own_folder(settings: Settings) -> contextlib.AbstractContextManager[None]:
    """Keep other trainings out; the main process's work, which alone writes."""
    main = distributed.is_main()
    return sole_training(settings.checkpoint_folder) if main else contextlib.nullcontext()


@contextlib.contextmanager
def _logging(settings: Settings) -> Iterator[None]:
    """Log to the terminal, and from the main process to the run's file, within the block."""
    rank = "" if distributed.world_size() == 1 else f" rank {distributed.rank()}:"
    layout = logging.Formatter(f"%(asctime)s %(levelname)s{rank} %(message)s")
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if distributed.is_main():
        settings.log_file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(settings.log_file, encoding="utf-8"))
    root = logging.getLogger()
    level_before = root.level
    root.setLevel(logging.INFO if distributed.is_main() else logging.WARNING)
    for handler in handlers:
        handler.setFormatter(layout)
        root.addHandler(handler)
    try:
        yield
    finally:
        root.setLevel(level_before)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
