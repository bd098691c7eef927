"""From a recipe to the parts of a training: network with starting weights, samples, optimizer.

Source: spec section 4. Used by train_script.py.
"""

import logging
import math
from pathlib import Path

import torch
from easydict import EasyDict
from torch import nn

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.weights import load_weights
from lib.train.actors.aiatrack import LossWeights
from lib.train.admin import distributed
from lib.train.admin.environment import find_data
from lib.train.backbone_weights import load_backbone_weights
from lib.train.data.processing import read_search_config
from lib.train.data.sampler import TrackingSampler
from lib.train.dataset import build_dataset

logger = logging.getLogger(__name__)


def build_network(
    cfg: EasyDict, init_from: Path | None = None, backbone_weights: Path | None = None
) -> AiATrack:
    """Make the network with the weights that training starts from.

    Args:
        init_from: a checkpoint of the whole network, for fine-tuning; then nothing else is read.
        backbone_weights: ImageNet weights of the backbone; without it they are looked for in the
            local caches and fetched if missing, unless MODEL.BACKBONE.PRETRAINED is False.

    Raises:
        CheckpointError: a file that does not fit. BackboneWeightsError: no ImageNet weights.
    """
    model = build_aiatrack(cfg)
    if init_from is not None:
        load_weights(model, init_from)
        logger.info("fine-tuning: all weights from %s", init_from)
    elif cfg.MODEL.BACKBONE.PRETRAINED or backbone_weights is not None:
        if distributed.is_main():  # the others receive them when the network is wrapped
            load_backbone_weights(model.backbone[0].body, cfg.MODEL.BACKBONE.TYPE, backbone_weights)
    else:
        logger.info("backbone from scratch (MODEL.BACKBONE.PRETRAINED: False)")
        if cfg.TRAIN.FREEZE_LAYERS or cfg.TRAIN.FREEZE_BACKBONE_BN:
            logger.warning(
                "frozen at random values: TRAIN.FREEZE_LAYERS %s, TRAIN.FREEZE_BACKBONE_BN %s",
                cfg.TRAIN.FREEZE_LAYERS,
                cfg.TRAIN.FREEZE_BACKBONE_BN,
            )
    return model


def build_sampler(cfg: EasyDict, part: str = "TRAIN") -> TrackingSampler:
    """Open the data sets of a recipe's part.

    Args:
        part: "TRAIN", or "VAL" for the held-out sequences. Sets of ratio 0 are not opened.

    Raises:
        ValueError, FileNotFoundError, DatasetError: see `build_dataset` and `TrackingSampler`.
    """
    names, ratios = cfg.DATA[part].DATASETS_NAME, cfg.DATA[part].DATASETS_RATIO
    if len(names) != len(ratios):
        raise ValueError(
            f"DATA.{part}.DATASETS_RATIO {list(ratios)} needs a number for each of {list(names)}"
        )
    wanted = [(name, ratio) for name, ratio in zip(names, ratios, strict=True) if ratio]
    datasets = [build_dataset(name, find_data) for name, _ in wanted]
    shares = [ratio for _, ratio in wanted]
    return TrackingSampler(datasets, shares, read_search_config(cfg), cfg.DATA.MAX_SAMPLE_INTERVAL)


def build_optimizer(model: nn.Module, cfg: EasyDict, *, fused: bool = False) -> torch.optim.AdamW:
    """AdamW over what is trained: the backbone at its own rate, weight decay on everything.

    Args:
        fused: one kernel for all parameters; its last bits differ.
    """
    groups: dict[bool, list[nn.Parameter]] = {False: [], True: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[name.startswith("backbone.")].append(parameter)
    rates = learning_rates(cfg, epoch=1)
    return torch.optim.AdamW(
        [{"params": groups[i], "lr": rate} for i, rate in zip((False, True), rates, strict=True)],
        lr=cfg.TRAIN.LR,
        weight_decay=cfg.TRAIN.WEIGHT_DECAY,
        fused=fused or None,  # None leaves the choice among the other kinds to PyTorch
    )


def learning_rates(cfg: EasyDict, epoch: int) -> list[float]:
    """Rates of the optimizer's groups, the rest and the backbone, in an epoch counted from 1.

    "step": they drop after every LR_DROP_EPOCH epochs (never if that is 0); "cosine": they fall to
    0 over all epochs. Before, they rise for WARMUP_EPOCHS. As they follow from the recipe and the
    epoch alone, a resumed training needs no scheduler's state, and an edited recipe takes hold.
    """
    warmup, last = cfg.TRAIN.SCHEDULER.WARMUP_EPOCHS, cfg.TRAIN.EPOCH
    if epoch <= warmup:
        factor = epoch / (warmup + 1)
    elif cfg.TRAIN.SCHEDULER.TYPE == "cosine":
        factor = (1 + math.cos(math.pi * (epoch - 1 - warmup) / (last - warmup))) / 2
    elif drop := cfg.TRAIN.LR_DROP_EPOCH:
        factor = cfg.TRAIN.SCHEDULER.DECAY_RATE ** ((epoch - 1) // drop)
    else:
        factor = 1.0
    return [cfg.TRAIN.LR * factor, cfg.TRAIN.LR * cfg.TRAIN.BACKBONE_MULTIPLIER * factor]


def set_learning_rates(optimizer: torch.optim.Optimizer, cfg: EasyDict, epoch: int) -> None:
    """Give the optimizer's groups the rates of an epoch."""
    for group, rate in zip(optimizer.param_groups, learning_rates(cfg, epoch), strict=True):
        group["lr"] = rate


def loss_weights(cfg: EasyDict) -> LossWeights:
    """The recipe's factors of the loss terms."""
    train = cfg.TRAIN
    return LossWeights(train.GIOU_WEIGHT, train.L1_WEIGHT, train.IOU_WEIGHT, train.CORNER_WEIGHT)
