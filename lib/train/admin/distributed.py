"""Rank, world size and means over processes; without a process group all of it is the identity.

The group follows the environment that torchrun's launcher sets; only run_training.py opens it.
"""

import contextlib
import datetime
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Result = TypeVar("Result")

LAUNCHER = ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # it sets them
TIMEOUT = datetime.timedelta(minutes=30)  # one process indexes data sets while the others wait


def is_initialized() -> bool:
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """This process's number among all, 0 alone."""
    return dist.get_rank() if is_initialized() else 0


def world_size() -> int:
    """How many processes train together, 1 alone."""
    return dist.get_world_size() if is_initialized() else 1


def is_main() -> bool:
    """Whether this process writes logs and checkpoints."""
    return rank() == 0


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the group that the launcher's environment describes for as long as the block lasts.

    NCCL on GPUs, gloo on CPUs; none for a process that trains alone.

    Raises:
        ValueError: see `launched`.
    """
    if launched():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    yield
    # Not after an error: the group's end would make the others fail too, perhaps before this
    # process has told the launcher what was the cause. The launcher ends them.
    if launched():
        dist.destroy_process_group()


def launched() -> bool:
    """Whether a launcher has started this process as one of several.

    Raises:
        ValueError: WORLD_SIZE says so, but what a launcher sets beside it is not there.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    if size == "1":
        return False
    numbers = [os.environ.get(name, "") for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK")]
    missing = [name for name in LAUNCHER if name not in os.environ]
    if missing or not all(map(str.isdecimal, numbers)) or not int(numbers[1]) < int(size):
        lacks = f"lacks {', '.join(missing)}" if missing else f"has RANK {numbers[1]!r}"
        raise ValueError(
            f"WORLD_SIZE is {size!r} in the environment, which {lacks}; unset it to train in one "
            f"process, or use --mode multiple"
        )
    return True


def local_rank() -> int:
    """This process's number on its machine, 0 alone; ValueError: see `launched`."""
    return int(os.environ["LOCAL_RANK"]) if launched() else 0


def processes_here() -> int:
    """How many processes train on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if launched() else 1


def mean(values: Tensor) -> Tensor:
    """Mean of a tensor over all processes; every process must call it."""
    if world_size() == 1:
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / world_size()


def all_reduce_any(flag: bool, device: torch.device) -> bool:
    """Whether any process says True; every process must call it."""
    if world_size() == 1:
        return flag
    return bool(mean(torch.tensor(float(flag), device=device)) > 0)


@contextlib.contextmanager
def local_main_first() -> Iterator[None]:
    """Let one process of each machine through the block first, then its others."""
    if world_size() > 1 and local_rank() > 0:
        dist.barrier()
    yield
    if world_size() > 1 and local_rank() == 0:
        dist.barrier()


def broadcast_from_main(make: Callable[[], Result]) -> Result:
    """Call `make` in the main process and send its result, picklable, to all others.

    Only the first machine has to hold checkpoints so. The launcher ends the others if it raises.
    """
    results: list[Any] = [make() if is_main() else None]  # a list, to be filled in place
    if world_size() > 1:
        dist.broadcast_object_list(results, src=0)
    return results[0]
