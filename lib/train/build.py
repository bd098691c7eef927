"""A recipe's network, samplers, loaders, actor and optimizer. Source: docs/method.md, section 4."""

import functools
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias, cast

import torch
from easydict import EasyDict
from torch import nn

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.fast.training import speed_up_training
from lib.models.aiatrack.weights import load_weights
from lib.train.actors.aiatrack import AIATRACKActor, LossWeights
from lib.train.admin import distributed
from lib.train.admin.environment import find_data
from lib.train.admin.memory import keep_freed_memory
from lib.train.admin.settings import Settings
from lib.train.backbone_weights import load_backbone_weights
from lib.train.data.loader import Loader, Sampler, build_loader
from lib.train.data.processing import read_search_config
from lib.train.data.sampler import TrackingSampler
from lib.train.dataset import BaseDataset, SyntheticClips, build_dataset
from lib.train.optimizer import build_optimizer

logger = logging.getLogger(__name__)

TrainingSet: TypeAlias = BaseDataset | SyntheticClips
# Recipe -> what training samples are drawn from, and what validation samples, if anything.
BuildSamplers = Callable[[EasyDict], tuple[Sampler, Sampler | None]]

DTYPES = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}
VAL_SEED = 2**32 - 1  # added, so that no training sample is drawn as a validation sample is


def build_network(
    cfg: EasyDict, init_from: Path | None = None, backbone_weights: Path | None = None
) -> AiATrack:
    """Make the network with the weights that training starts from.

    Args:
        init_from: a checkpoint of the whole network to start from; then nothing else is read.
        backbone_weights: ImageNet weights of the backbone; without it they are looked for in the
            local caches and fetched if missing, unless MODEL.BACKBONE.PRETRAINED is False.

    Raises:
        CheckpointError: a file that does not fit. BackboneWeightsError: no ImageNet weights.
    """
    model = build_aiatrack(cfg)
    if init_from is not None:
        load_weights(model, init_from)
        logger.info("all weights from %s", init_from)
    elif cfg.MODEL.BACKBONE.PRETRAINED or backbone_weights is not None:
        if distributed.is_main():  # the others receive them when the network is wrapped
            body = model.get_submodule("backbone.0.body")
            load_backbone_weights(body, cfg.MODEL.BACKBONE.TYPE, backbone_weights)
    else:
        logger.info("backbone from scratch (MODEL.BACKBONE.PRETRAINED: False)")
        layers, norms = cfg.TRAIN.FREEZE_LAYERS, cfg.TRAIN.FREEZE_BACKBONE_BN
        if layers or norms:
            logger.warning(
                f"frozen at random values: TRAIN.FREEZE_LAYERS {layers}, "
                f"TRAIN.FREEZE_BACKBONE_BN {norms}"
            )
    return model


def recipe_samplers(cfg: EasyDict) -> tuple[Sampler, Sampler | None]:
    """Open a recipe's training sets and, without what is trained on, its held-out ones, if any.

    Raises:
        ValueError, FileNotFoundError, DatasetError: see `build_dataset` and `TrackingSampler`.
    """
    train, val = open_split(cfg, "TRAIN"), open_split(cfg, "VAL")
    val = {dataset: ratio for dataset, ratio in val.items() if _hold_out(dataset, train)}
    if cfg.DATA.VAL.DATASETS_NAME and not val:
        logger.warning("no validation: all sequences of DATA.VAL.DATASETS_NAME are trained on")
    return _sampler(cfg, train), _sampler(cfg, val) if val else None


def _sampler(cfg: EasyDict, split: dict[TrainingSet, float]) -> TrackingSampler:
    search, max_gap = read_search_config(cfg), cfg.DATA.MAX_SAMPLE_INTERVAL
    return TrackingSampler(list(split), list(split.values()), search, max_gap)


def _hold_out(dataset: TrainingSet, train: Iterable[TrainingSet]) -> bool:
    """Leave out of a validation set what is trained on; returns whether anything is left."""
    if isinstance(dataset, SyntheticClips):  # clips of other seeds and photographs
        return True
    trained = {
        path
        for other in train
        if isinstance(other, BaseDataset) and other.store.root == dataset.store.root
        for path in other.first_frames
    }
    if count := dataset.leave_out(trained):
        of = f"{count} of {len(dataset)} sequences"
        logger.warning(f"{dataset.name}: {of} are trained on, and left out of validation")
    return count < len(dataset)


def open_split(cfg: EasyDict, split: str) -> dict[TrainingSet, float]:
    """Data sets of DATA.TRAIN or DATA.VAL and their ratios; those of ratio 0 are not opened."""
    names, ratios = cfg.DATA[split].DATASETS_NAME, cfg.DATA[split].DATASETS_RATIO
    if len(names) != len(ratios):
        text = f"DATASETS_RATIO {list(ratios)} needs a number for each of {list(names)}"
        raise ValueError(f"DATA.{split}.{text}")
    drawn = [(name, ratio) for name, ratio in zip(names, ratios, strict=True) if ratio]
    return {build_dataset(name, find_data): ratio for name, ratio in drawn}


def build_loaders(
    cfg: EasyDict, settings: Settings, device: torch.device, build_samplers: BuildSamplers
) -> tuple[Loader, Loader | None]:
    """Loaders of training and validation batches on this rank."""
    with distributed.local_main_first():  # which makes the caches that the others then read
        train_sampler, val_sampler = build_samplers(cfg)

    loader = functools.partial(
        build_loader,
        workers=cfg.TRAIN.NUM_WORKER,
        rank=distributed.rank(),
        world_size=distributed.world_size(),
        pin_memory=device.type == "cuda",
    )
    size, length, seed = cfg.TRAIN.BATCH_SIZE, cfg.DATA.TRAIN.SAMPLE_PER_EPOCH, settings.seed
    train_loader = loader(train_sampler, batch_size=size, seed=seed, epoch_length=length)
    if val_sampler is None:
        logger.info("no validation: no held-out data")
        return train_loader, None
    length, seed = cfg.DATA.VAL.SAMPLE_PER_EPOCH, seed + VAL_SEED
    size = max(1, min(size, length // distributed.world_size()))
    return train_loader, loader(val_sampler, batch_size=size, seed=seed, epoch_length=length)


def build_actor_and_optimizer(
    model: nn.Module, cfg: EasyDict, settings: Settings, device: torch.device
) -> tuple[AIATRACKActor, torch.optim.Optimizer]:
    """Give a network, already on its device, the formats and the optimizer that a run asks for."""
    on_cpu = device.type == "cpu"
    if on_cpu and not settings.plain:
        speed_up_training(cast(AiATrack, model))
        keep_freed_memory()
    if settings.sync_bn:
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    if settings.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if settings.compile:
        model.compile()  # in place: names of parameters stay
    fused = settings.fused
    if fused is None:
        fused = not (on_cpu and settings.plain)
    optimizer = build_optimizer(model, cfg, fused=fused)
    dtype = DTYPES[settings.precision]
    if distributed.world_size() > 1:
        # All start from the main process's weights; the heads' running statistics follow its.
        device_ids = [device.index] if device.type == "cuda" else None
        model = nn.parallel.DistributedDataParallel(model, device_ids=device_ids)
    return make_actor(model, cfg, dtype), optimizer


def make_actor(model: nn.Module, cfg: EasyDict, dtype: torch.dtype | None) -> AIATRACKActor:
    """A recipe's losses around a network."""
    train, recent = cfg.TRAIN, cfg.DATA.RECENT
    return AIATRACKActor(
        model,
        LossWeights(train.GIOU_WEIGHT, train.L1_WEIGHT, train.IOU_WEIGHT, train.CORNER_WEIGHT),
        dtype,
        every_frame=train.EVERY_FRAME,
        score_own=train.SCORE_OWN_BOX,
        recent_errors=any(recent.values()),
        absent=cfg.DATA.ABSENT > 0,
    )
