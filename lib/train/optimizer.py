"""AdamW over what is trained, and the learning rates of each epoch.

Source: docs/method.md, section 4.
"""

import math

import torch
from easydict import EasyDict
from torch import nn


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
