"""One update of the weights, every number checked first. Source: docs/method.md, section 4."""

import contextlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from lib.train.actors.aiatrack import AIATRACKActor, LossOutput
from lib.train.data.batch import Batch


class Update(NamedTuple):
    """What an update came to."""

    terms_per_batch: list[dict[str, float]]  # of the group, by log name
    norm: float  # of the gradient before clipping; not finite where fp16 skipped the update
    last: LossOutput  # of the last batch


class NonFiniteStep(FloatingPointError):
    """A loss or a gradient of `batch` is NaN or infinite; the weights are as before."""

    def __init__(self, terms: dict[str, float], batch: Batch) -> None:
        super().__init__(f"not finite: {terms}")
        self.terms, self.batch = terms, batch


def update_weights(
    actor: AIATRACKActor,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    group: Sequence[Batch],
    clip_norm: float,
) -> Update:
    """Do one update from the mean gradient of a group of batches on the network's device.

    Args:
        scaler: of the gradients in fp16; not enabled otherwise.
        clip_norm: greatest norm of the gradient.

    Raises:
        NonFiniteStep: a term of the loss, or without a scaler the gradient, is not finite.
    """
    optimizer.zero_grad(set_to_none=True)
    terms_per_batch = []
    for i, batch in enumerate(group):
        # Losses and gradients of a batch, the gradients added up over the group.
        with _grad_sync(actor.net, enabled=i == len(group) - 1):
            output = actor(batch)
            scaler.scale(output.loss / len(group)).backward()
        # This waits for the device, so it comes after all work is given to it.
        terms_per_batch.append(to_floats(output))
        if not all(map(math.isfinite, terms_per_batch[-1].values())):
            raise NonFiniteStep(terms_per_batch[-1], batch)
    # Clip what the optimizer will use.
    scaler.unscale_(optimizer)
    trained = [p for p in actor.net.parameters() if p.requires_grad]
    norm = nn.utils.clip_grad_norm_(trained, clip_norm).item()
    if not math.isfinite(norm) and not scaler.is_enabled():
        raise NonFiniteStep({**terms_per_batch[-1], "gradient norm": norm}, group[-1])
    # Update; in fp16 one with infinite gradients is skipped and the scale lowered.
    scaler.step(optimizer)
    scaler.update()
    return Update(terms_per_batch, norm, output)


def to_floats(output: LossOutput) -> dict[str, float]:
    """The terms as numbers, in one transfer from the device."""
    return dict(zip(output.terms, torch.stack(list(output.terms.values())).tolist(), strict=True))


def _grad_sync(net: nn.Module, *, enabled: bool) -> contextlib.AbstractContextManager:
    """Let processes exchange gradients, in the last batch of a group only."""
    if enabled or not isinstance(net, nn.parallel.DistributedDataParallel):
        return contextlib.nullcontext()
    return net.no_sync()
