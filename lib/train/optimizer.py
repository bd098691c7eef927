"""AdamW and the learning rates of each epoch. Source: docs/method.md, section 4."""

import math

import torch
from easydict import EasyDict
from torch import nn


def build_optimizer(model: nn.Module, cfg: EasyDict, *, fused: bool = False) -> torch.optim.AdamW:
    """AdamW: the backbone at its own rate, weight decay on everything; `fused`: in one kernel."""
    groups, rates = trained_parameters(model), learning_rates(cfg, epoch=1)
    return torch.optim.AdamW(
        [{"params": list(g.values()), "lr": r} for g, r in zip(groups, rates, strict=True)],
        lr=cfg.TRAIN.LR,
        weight_decay=cfg.TRAIN.WEIGHT_DECAY,
        fused=fused or None,  # None leaves the choice among the other kinds to PyTorch
    )


def trained_parameters(model: nn.Module) -> tuple[dict[str, nn.Parameter], ...]:
    """The optimizer's groups, the rest and the backbone: parameters by name, in its order."""
    # The order is that of the reference's optimizer: a saved state is a list without names.
    groups: tuple[dict[str, nn.Parameter], ...] = ({}, {})
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[name.startswith("backbone.")][name] = parameter
    return groups


def restore_moments(optimizer: torch.optim.Optimizer, model: nn.Module, saved: dict) -> int:
    """Take over a saved optimizer's moments, not its rates; returns for how many parameters.

    Args:
        saved: its state dict, of this project or of the reference's code.

    Raises:
        ValueError: see `check_moments`.
    """
    check_moments(model, saved)
    current = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": saved["state"], "param_groups": current})
    return len(saved["state"])


def check_moments(model: nn.Module, saved: dict) -> None:
    """Refuse moments of other parameters, or that are no finite numbers, by the first such one.

    Args:
        saved: a state dict whose `state` and `param_groups` are built as PyTorch's are.

    Raises:
        ValueError: says which parameter it is and what is wrong.
    """
    groups = trained_parameters(model)
    expected = [len(group) for group in groups]
    sizes = [len(group["params"]) for group in saved["param_groups"]]
    if sizes != expected:
        raise ValueError(f"its optimizer has groups of {sizes} parameters, this one of {expected}")
    parameters = {name: p for group in groups for name, p in group.items()}
    for number, (name, parameter) in enumerate(parameters.items()):
        state = saved["state"].get(number, {})
        if state and (lacking := {"step", "exp_avg", "exp_avg_sq"} - state.keys()):
            raise ValueError(f"its optimizer lacks {', '.join(sorted(lacking))} of {name}")
        for key, value in state.items():
            value = torch.as_tensor(value)
            shape = () if key == "step" else tuple(parameter.shape)
            if value.shape != shape:
                raise ValueError(
                    f"its optimizer keeps {key} of {tuple(value.shape)} for {name}, which has "
                    f"{shape}: its parameters are in another order"
                )
            if not value.isfinite().all():
                raise ValueError(f"its optimizer keeps {key} of {name} that is not finite")


def learning_rates(cfg: EasyDict, epoch: float) -> list[float]:
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


def set_learning_rates(optimizer: torch.optim.Optimizer, cfg: EasyDict, epoch: float) -> None:
    for group, rate in zip(optimizer.param_groups, learning_rates(cfg, epoch), strict=True):
        group["lr"] = rate
