"""How fast a training step is and what it holds: plain, and with every setting for speed.

Used by tracking/profile_model.py --train. Both kinds of step take turns on one random batch in one
process, so that their ratio holds on a noisy machine too. A step begins with the batch in the
host's memory; loading it is measured by lib/tools/profiling/data.py.
"""

import ctypes
import logging
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from easydict import EasyDict
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

from lib.models.aiatrack.build import build_aiatrack
from lib.train.admin.settings import Settings
from lib.train.build import build_actor_and_optimizer
from lib.train.data.batch import CompactBatch
from lib.train.data.random_boxes import PROPOSALS
from lib.train.trainers.step import update_weights

logger = logging.getLogger(__name__)

FRAMES = 3  # crops a sample
SPEED = {"precision": "bf16", "channels_last": True, "fused": True}
WARM_UPS = 2  # steps


class StepProfile(NamedTuple):
    """One kind of step."""

    settings: str  # in words
    first_seconds: float  # of the first step, with compilation
    seconds: float  # of a step, median
    samples_per_second: float
    memory: int | None  # peak bytes: weights, moments, gradients, activations; None: not known
    recipe_hours: float  # for all epochs of the recipe on one such device


class TrainingProfile(NamedTuple):
    """Both kinds of step."""

    device: str
    threads: int  # of PyTorch on the CPU
    torch: str
    batch_size: int
    steps: int  # measured
    epochs: int  # of the recipe
    samples: int  # of its epochs
    plain: StepProfile
    fast: StepProfile
    speedup: float  # median of the ratios of neighbouring steps


def profile_training(
    config: str,
    device: torch.device,
    *,
    batch_size: int | None = None,
    steps: int = 10,
    compiled: bool = True,
) -> TrainingProfile:
    """Measure a recipe's training step with random weights and a random batch.

    Args:
        config: a recipe's name, or the path of a YAML file.
        batch_size: samples; None is the recipe's.
        steps: measured of each kind, after warming up.
        compiled: whether the fast kind uses torch.compile, which takes minutes on a CPU.

    Raises:
        ValueError: fewer than 1 step or sample. Otherwise as `load_config`.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1; given: {steps}")
    plain = Settings(config, batch_size=batch_size, fused=False)
    cfg = plain.recipe()
    batch = random_batch(cfg.TRAIN.BATCH_SIZE, cfg.DATA.SEARCH.SIZE)
    if device.type == "cuda":
        batch = CompactBatch._make(v.pin_memory() if isinstance(v, Tensor) else v for v in batch)
    fast = replace(plain, **SPEED, compile=compiled)
    kinds = [_Step(cfg, plain, batch, device), _fast_step(cfg, fast, batch, device)]
    for _ in range(steps):
        for step in kinds:
            step.measure()
    ratios = [a / b for a, b in zip(kinds[0].seconds, kinds[1].seconds, strict=True)]
    epochs, samples = cfg.TRAIN.EPOCH, cfg.DATA.TRAIN.SAMPLE_PER_EPOCH
    return TrainingProfile(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        threads=torch.get_num_threads(),
        torch=str(torch.__version__),
        batch_size=cfg.TRAIN.BATCH_SIZE,
        steps=steps,
        epochs=epochs,
        samples=samples,
        plain=kinds[0].profile(epochs * samples),
        fast=kinds[1].profile(epochs * samples),
        speedup=statistics.median(ratios),
    )


def random_batch(batch_size: int, size: int) -> CompactBatch:
    """A batch of noise crops, (B, 3, S, S, 3), with boxes in their middle."""
    generator = torch.Generator().manual_seed(0)

    def boxes(count: int) -> Tensor:
        return torch.rand(batch_size, count, 4, generator=generator) * 0.1 + 0.4

    shape = (batch_size, FRAMES, size, size)
    return CompactBatch(
        crops=torch.randint(256, (*shape, 3), generator=generator, dtype=torch.uint8),
        scales=torch.full(shape[:2], 1 / 255),
        masks=torch.zeros(shape, dtype=torch.bool),
        boxes=boxes(FRAMES),
        proposals=boxes(PROPOSALS),
        proposal_iou=torch.rand(batch_size, PROPOSALS, generator=generator) * 2 - 1,
        source=["noise"] * batch_size,
        rejected=torch.zeros(batch_size, dtype=torch.int64),
        broken=[""] * batch_size,
    )


def report(profile: TrainingProfile) -> dict[str, Any]:
    """Turn a profile into plain values for JSON."""
    kinds = {"plain": profile.plain._asdict(), "fast": profile.fast._asdict()}
    return {**profile._asdict(), **kinds}


def describe(profile: TrainingProfile) -> str:
    """Show a profile as a page of text."""
    lines = [
        f"{profile.device}, {profile.threads} threads, torch {profile.torch}; batches of "
        f"{profile.batch_size}, {profile.steps} steps of each kind",
        f"\n{'step':8}{'samples/s':>11}{'ms':>10}{'first s':>10}{'peak MiB':>10}  settings",
    ]
    for name, kind in (("plain", profile.plain), ("fast", profile.fast)):
        memory = "?" if kind.memory is None else f"{kind.memory / 2**20:.0f}"
        lines.append(
            f"{name:8}{kind.samples_per_second:11.2f}{kind.seconds * 1e3:10.1f}"
            f"{kind.first_seconds:10.1f}{memory:>10}  {kind.settings}"
        )
    lines.append(f"\nspeedup: {profile.speedup:.2f}")
    for name, kind in (("plain", profile.plain), ("fast", profile.fast)):
        lines.append(
            f"the whole recipe, {profile.epochs} epochs of {profile.samples} samples, on one such "
            f"device, {name}: {kind.recipe_hours:.1f} hours"
        )
    return "\n".join(lines)


class _Step:
    """A network with what trains it."""

    def __init__(
        self, cfg: EasyDict, settings: Settings, batch: CompactBatch, device: torch.device
    ) -> None:
        """Build, warm up, measure the memory."""
        self._settings, self._batch, self._device = settings, batch, device
        self._clip_norm = cfg.TRAIN.GRAD_CLIP_NORM
        torch.manual_seed(0)
        model = build_aiatrack(cfg).to(device).train()
        self._actor, self._optimizer = build_actor_and_optimizer(model, cfg, settings, device)
        self._scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
        self.seconds: list[float] = []
        for _ in range(WARM_UPS):
            self.measure()
        self._first, self.seconds = self.seconds[0], []
        self._optimizer.zero_grad(set_to_none=True)
        rise = _rise(self._run, device)
        self._memory = None if rise is None else rise + self._held()

    def measure(self) -> None:
        """Do a step and note its time."""
        _synchronise(self._device)
        start = time.perf_counter()
        self._run()
        _synchronise(self._device)
        self.seconds.append(time.perf_counter() - start)

    def profile(self, samples: int) -> StepProfile:
        """What was measured; `samples` are those of the whole recipe."""
        seconds = statistics.median(self.seconds)
        rate = len(self._batch.crops) / seconds
        hours = samples / rate / 3600
        words = _in_words(self._settings)
        return StepProfile(words, self._first, seconds, rate, self._memory, hours)

    def _run(self) -> None:
        group = [self._batch.to(self._device, non_blocking=True)]
        update_weights(self._actor, self._optimizer, self._scaler, group, self._clip_norm)

    def _held(self) -> int:
        """Bytes of weights and moments."""
        moments = [v for state in self._optimizer.state.values() for v in state.values()]
        net = self._actor.net
        return sum(t.nbytes for t in [*net.parameters(), *net.buffers(), *moments])


def _fast_step(
    cfg: EasyDict, settings: Settings, batch: CompactBatch, device: torch.device
) -> _Step:
    """Step of compiled settings, without compilation where that does not work."""
    try:
        return _Step(cfg, settings, batch, device)
    except TorchDynamoException as error:
        reason = str(error).strip().splitlines()[0]
        logger.warning("torch.compile does not work here, going on without it: %s", reason)
        return _Step(cfg, replace(settings, compile=False), batch, device)


def _in_words(settings: Settings) -> str:
    """Name the settings that a step's speed depends on."""
    words = ["fp32" if settings.precision == "off" else settings.precision]
    words.append("compiled" if settings.compile else "eager")
    words += ["channels-last"] if settings.channels_last else []
    words += ["fused AdamW"] if settings.fused else []
    return ", ".join(words)


def _rise(step: Callable[[], None], device: torch.device) -> int | None:
    """Bytes by which memory rises in a step: tensors on a GPU, the process on a CPU under Linux."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        return torch.cuda.max_memory_allocated(device) - before
    if sys.platform != "linux":
        return None
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if give_back is not None:
        give_back(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _status("VmRSS")
    step()
    return max(0, _status("VmHWM") - before)


def _status(field: str) -> int:
    """Read a size of this process, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
