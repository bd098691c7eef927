"""The wiring of one training process: recipe -> network, data, optimizer, trainer -> result.

Called by run_training.py in every process; lib/train/base_functions.py makes the parts.
"""

import logging
import os
from collections.abc import Callable

import torch
from easydict import EasyDict
from torch import nn

from lib.train.actors.aiatrack import AIATRACKActor
from lib.train.admin import distributed
from lib.train.admin.settings import Settings
from lib.train.base_functions import build_network, build_optimizer, build_sampler, loss_weights
from lib.train.data.loader import Loader, Sampler, build_loader
from lib.train.trainers.base_trainer import Parts
from lib.train.trainers.ltr_trainer import LTRTrainer

logger = logging.getLogger(__name__)

# Recipe -> what training samples are drawn from, and what validation samples, if anything.
BuildSamplers = Callable[[EasyDict], tuple[Sampler, Sampler | None]]

DTYPES = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}
VAL_SEED = 2**32 - 1  # added, so that no training sample is drawn as a validation sample is
RECIPE_BATCH = 120  # 15 on each of 8 GPUs: what the published learning rate is for


def recipe_samplers(cfg: EasyDict) -> tuple[Sampler, Sampler | None]:
    """Open the data sets of a recipe: its training sets and its held-out ones, if it names any."""
    return build_sampler(cfg), build_sampler(cfg, "VAL") if cfg.DATA.VAL.DATASETS_NAME else None


def train(
    settings: Settings, device: torch.device, build_samplers: BuildSamplers
) -> dict[str, float]:
    """Train a recipe in this process, together with the others of its group.

    Returns:
        As LTRTrainer.train.
    """
    cfg = settings.recipe()
    if device.type == "cpu":
        _share_cores(cfg.TRAIN.NUM_WORKER)
    torch.manual_seed(settings.seed)
    model = build_network(cfg, settings.init_from, settings.backbone_weights).to(device)
    _log_plan(cfg, settings, model, device)
    train_loader, val_loader = _loaders(cfg, settings, device, build_samplers)
    actor, optimizer = wire(model, cfg, settings, device)
    parts = Parts(model, actor, optimizer, train_loader, val_loader)
    trainer = LTRTrainer(parts, cfg, settings, device)
    try:
        trainer.resume()
        return trainer.train()
    finally:
        trainer.writer.close()


def _share_cores(workers: int) -> None:
    """Leave the loading processes their cores, unless the environment says how many to take.

    Threads that wait for a busy core cost far more than they bring.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        cores = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        torch.set_num_threads(max(1, cores - workers))


def wire(
    model: nn.Module, cfg: EasyDict, settings: Settings, device: torch.device
) -> tuple[AIATRACKActor, torch.optim.Optimizer]:
    """Give a network, already on its device, the formats and the optimizer that a run asks for."""
    if settings.sync_bn:
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    if settings.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if settings.compile:
        model.compile()  # in place: names of parameters stay
    fused = device.type == "cuda" if settings.fused is None else settings.fused
    optimizer = build_optimizer(model, cfg, fused=fused)
    net = _distribute(model, device)
    actor = AIATRACKActor(
        net, loss_weights(cfg), DTYPES[settings.precision], every_frame=cfg.TRAIN.EVERY_FRAME
    )
    return actor, optimizer


def _distribute(model: nn.Module, device: torch.device) -> nn.Module:
    """Wrap the network if several processes train it."""
    if distributed.world_size() == 1:
        return model
    # Every process starts from the main one's weights; the heads' running statistics follow its.
    return nn.parallel.DistributedDataParallel(
        model, device_ids=[device.index] if device.type == "cuda" else None
    )


def _loaders(
    cfg: EasyDict, settings: Settings, device: torch.device, build_samplers: BuildSamplers
) -> tuple[Loader, Loader | None]:
    """Loaders of training and validation batches on this rank."""
    with distributed.local_main_first():  # which makes the caches that the others then read
        train_source, val_source = build_samplers(cfg)

    def loader(source: Sampler, seed: int, length: int, batch_size: int) -> Loader:
        return build_loader(
            source,
            batch_size=batch_size,
            workers=cfg.TRAIN.NUM_WORKER,
            seed=seed,
            epoch_length=length,
            rank=distributed.rank(),
            world_size=distributed.world_size(),
            pin_memory=device.type == "cuda",
        )

    batch_size, length = cfg.TRAIN.BATCH_SIZE, cfg.DATA.TRAIN.SAMPLE_PER_EPOCH
    train_loader = loader(train_source, settings.seed, length, batch_size)
    if val_source is None:
        logger.info("no validation: DATA.VAL.DATASETS_NAME is empty")
        return train_loader, None
    length = cfg.DATA.VAL.SAMPLE_PER_EPOCH
    batch_size = max(1, min(batch_size, length // distributed.world_size()))
    return train_loader, loader(val_source, settings.seed + VAL_SEED, length, batch_size)


def _log_plan(cfg: EasyDict, settings: Settings, model: nn.Module, device: torch.device) -> None:
    """Say what is about to be trained and how large a batch it comes to."""
    processes, batch = distributed.world_size(), cfg.TRAIN.BATCH_SIZE
    effective = processes * batch * settings.accumulate
    logger.info(
        "effective batch %d = %d samples x %d accumulated x %d processes; learning rate %g, "
        "backbone %g; %d epochs of %d samples",
        *(effective, batch, settings.accumulate, processes, cfg.TRAIN.LR),
        *(cfg.TRAIN.LR * cfg.TRAIN.BACKBONE_MULTIPLIER, cfg.TRAIN.EPOCH),
        cfg.DATA.TRAIN.SAMPLE_PER_EPOCH,
    )
    if settings.name.startswith("baseline") and effective != RECIPE_BATCH:
        logger.warning(
            "the published recipe has batches of %d (15 on each of 8 GPUs); --batch-size and "
            "--accumulate reach that on fewer",
            RECIPE_BATCH,
        )
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    logger.info(
        "%s: %.2f M parameters, %.2f M trained, on %s, precision %s; the heads' batch norm takes "
        "its statistics over %s",
        *(settings.name, sum(p.numel() for p in model.parameters()) / 1e6, trained / 1e6, device),
        settings.precision,
        "all processes" if settings.sync_bn else "each process's own batch",
    )
