"""How fast a training step is and what it holds: plain, by default, with all settings for speed.

All kinds of step take turns on one random batch in one process, so that their ratios hold on a
noisy machine too. A step begins with the batch in the host's memory; data.py measures loading.
"""

import logging
import statistics
from dataclasses import replace
from typing import Any

import torch
from easydict import EasyDict
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

from lib.models.aiatrack.build import build_aiatrack
from lib.tools.profiling.memory import peak_rise
from lib.tools.profiling.operators import time_operators
from lib.tools.profiling.timers import timed
from lib.train.admin.memory import keep_freed_memory
from lib.train.admin.settings import Settings
from lib.train.build import build_actor_and_optimizer
from lib.train.data.batch import CompactBatch, CompactSample, collate
from lib.train.data.random_boxes import PROPOSALS
from lib.train.trainers.step import update_weights
from lib.utils.device import device_name

logger = logging.getLogger(__name__)

FRAMES = 3  # crops of a sample
WARM_UP_STEPS = 2


def profile_training(
    config: str,
    device: torch.device,
    *,
    batch_size: int | None = None,
    steps: int = 10,
    compiled: bool = True,
    precision: str = "off",
) -> dict[str, Any]:
    """Measure a recipe's training step with random weights and a random batch.

    Args:
        config: a recipe's name, or the path of a YAML file.
        batch_size: samples; None is the recipe's.
        steps: measured of each kind, after warming up.
        compiled: whether the fast kind uses torch.compile, which takes minutes on a CPU.
        precision: of the plain and the default kind; other than fp32 they are channels-last.

    Returns:
        Plain values for JSON; under "plain", "default" and "fast", unless that is the default kind,
        those of `TimedStep.report` and "speedup" over plain, a median of ratios.

    Raises:
        ValueError: fewer than 1 step or sample. Otherwise as `load_config`.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1; given: {steps}")
    kinds = _kinds(config, batch_size, precision, compiled=compiled)
    cfg = kinds["default"].recipe()
    batch = random_batch(cfg.TRAIN.BATCH_SIZE, cfg.DATA.SEARCH.SIZE)
    if device.type == "cuda":
        batch = CompactBatch._make(v.pin_memory() if isinstance(v, Tensor) else v for v in batch)
    timed_steps = {name: _timed_step(cfg, kind, batch, device) for name, kind in kinds.items()}
    # Let all kinds of step take turns.
    for _ in range(steps):
        for step in timed_steps.values():
            step.measure()
    reports = {name: step.report() for name, step in timed_steps.items()}
    for name, step in timed_steps.items():
        pairs = zip(timed_steps["plain"].seconds, step.seconds, strict=True)
        reports[name]["speedup"] = statistics.median(a / b for a, b in pairs)
    return {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "batch_size": cfg.TRAIN.BATCH_SIZE,
        "steps": steps,
        "epochs": cfg.TRAIN.EPOCH,
        "samples": cfg.DATA.TRAIN.SAMPLE_PER_EPOCH,
        **reports,
    }


def _kinds(
    config: str, batch_size: int | None, precision: str, *, compiled: bool
) -> dict[str, Settings]:
    default = Settings(
        config, batch_size=batch_size, precision=precision, channels_last=precision != "off"
    )
    kinds = {"plain": replace(default, plain=True, fused=False), "default": default}
    fast = replace(default, precision="bf16", channels_last=True, compile=compiled)
    return kinds if fast == default else {**kinds, "fast": fast}


def random_batch(batch_size: int, size: int) -> CompactBatch:
    """Collate B samples of noise crops, (3, S, S, 3), with boxes in their middle."""
    generator = torch.Generator().manual_seed(0)
    shape = (FRAMES, size, size)
    samples = [
        CompactSample(
            crops=torch.randint(256, (*shape, 3), generator=generator, dtype=torch.uint8),
            scales=torch.full((FRAMES,), 1 / 255),
            masks=torch.zeros(shape, dtype=torch.bool),
            boxes=(boxes := torch.rand(FRAMES, 4, generator=generator) * 0.1 + 0.4),
            recent_boxes=boxes,
            proposals=torch.rand(PROPOSALS, 4, generator=generator) * 0.1 + 0.4,
            proposal_iou=torch.rand(PROPOSALS, generator=generator) * 2 - 1,
            source="noise",
        )
        for _ in range(batch_size)
    ]
    return collate(samples)


class TimedStep:
    """A training step with a network of its own, warmed up, its memory measured."""

    def __init__(
        self, cfg: EasyDict, settings: Settings, batch: CompactBatch, device: torch.device
    ) -> None:
        self.seconds: list[float] = []
        self._cfg, self._settings, self._batch, self._device = cfg, settings, batch, device
        torch.manual_seed(0)
        model = build_aiatrack(cfg).to(device).train()
        self._actor, self._optimizer = build_actor_and_optimizer(model, cfg, settings, device)
        self._scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
        keep_freed_memory(keep=not settings.plain)
        for _ in range(WARM_UP_STEPS):
            self.seconds.append(timed(self._run, device)[1])
        self._first_seconds, self.seconds = self.seconds[0], []
        self._optimizer.zero_grad(set_to_none=True)
        rise, net = peak_rise(self._run, device), self._actor.net
        moments = [v for state in self._optimizer.state.values() for v in state.values()]
        self._memory = rise + sum(t.nbytes for t in [*net.parameters(), *net.buffers(), *moments])

    def measure(self) -> None:
        """Do a step and note its time, on a CPU after one that settles its memory."""
        if self._device.type == "cpu":
            keep_freed_memory(keep=not self._settings.plain)
            self._run()
        self.seconds.append(timed(self._run, self._device)[1])

    def report(self) -> dict[str, Any]:
        """What was measured; memory: its peak, bytes; first_seconds: with compilation;
        recipe_hours: of all epochs on such a device; operators: as of `Operator`."""
        seconds = statistics.median(self.seconds)
        rate = len(self._batch.crops) / seconds
        samples = self._cfg.TRAIN.EPOCH * self._cfg.DATA.TRAIN.SAMPLE_PER_EPOCH
        return {
            "settings": self._describe_settings(),
            "first_seconds": self._first_seconds,
            "seconds": seconds,
            "samples_per_second": rate,
            "memory": self._memory,
            "recipe_hours": samples / rate / 3600,
            "operators": [op._asdict() for op in time_operators(self._run, self._device)],
        }

    def _run(self) -> None:
        group = [self._batch.to(self._device, non_blocking=True)]
        clip_norm = self._cfg.TRAIN.GRAD_CLIP_NORM
        update_weights(self._actor, self._optimizer, self._scaler, group, clip_norm)

    def _describe_settings(self) -> str:
        settings = self._settings
        words = ["fp32" if settings.precision == "off" else settings.precision]
        words.append("compiled" if settings.compile else "eager")
        words += ["channels-last"] * settings.channels_last
        words += ["fused AdamW"] * bool(self._optimizer.defaults["fused"])
        return ", ".join(words)


def _timed_step(
    cfg: EasyDict, settings: Settings, batch: CompactBatch, device: torch.device
) -> TimedStep:
    """Make a step, without the compilation that it asks for where that does not work."""
    try:
        return TimedStep(cfg, settings, batch, device)
    except TorchDynamoException as error:
        reason = str(error).strip().splitlines()[0]
        logger.warning("torch.compile does not work here, going on without it: %s", reason)
        return TimedStep(cfg, replace(settings, compile=False), batch, device)
