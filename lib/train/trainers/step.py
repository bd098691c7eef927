"""One update of the weights: losses, gradients, clipping, optimizer; every number checked first.

Source: spec section 4. Used by ltr_trainer.py for each group of batches, and by
lib/tools/profiling/training.py, which measures it.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lib.train.actors.aiatrack import AIATRACKActor, Outcome
from lib.train.data.batch import Sample


class Update(NamedTuple):
    """What an update came to."""

    terms: list[dict[str, float]]  # of each batch of the group, by log name
    norm: float  # of the gradient before clipping; not finite where fp16 skipped the update
    box_xyxy: Tensor  # (B, 4) predicted for the last batch, fractions of the crop


class NonFiniteStep(FloatingPointError):
    """A loss or a gradient is NaN or infinite; the weights are as before."""

    def __init__(self, terms: dict[str, float], batch: Sample) -> None:
        """Keep the terms and the batch that they are of."""
        super().__init__(f"not finite: {terms}")
        self.terms = terms
        self.batch = batch


def update_weights(
    actor: AIATRACKActor,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    group: Sequence[Sample],
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
    every = []
    for i, batch in enumerate(group):
        with _exchange(actor.net, i == len(group) - 1):
            outcome = actor(batch)
            scaler.scale(outcome.loss / len(group)).backward()
        every.append(floats(outcome))  # waits for the device, so after all work is given to it
        if not all(map(math.isfinite, every[-1].values())):
            raise NonFiniteStep(every[-1], batch)
    scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(_trained(actor.net), clip_norm).item()
    if not math.isfinite(norm) and not scaler.is_enabled():
        raise NonFiniteStep({**every[-1], "gradient norm": norm}, group[-1])
    scaler.step(optimizer)  # in fp16 it skips an update with infinite gradients
    scaler.update()
    return Update(every, norm, outcome.box_xyxy)


def floats(outcome: Outcome) -> dict[str, float]:
    """The terms as numbers, in one transfer from the device."""
    return dict(zip(outcome.terms, torch.stack(list(outcome.terms.values())).tolist(), strict=True))


def _exchange(net: nn.Module, last: bool) -> contextlib.AbstractContextManager:
    """Let processes exchange gradients in the last batch of a group only."""
    if last or not isinstance(net, nn.parallel.DistributedDataParallel):
        return contextlib.nullcontext()
    return net.no_sync()


def _trained(net: nn.Module) -> Iterator[nn.Parameter]:
    """Parameters that have a gradient to clip."""
    return (p for p in net.parameters() if p.requires_grad)
