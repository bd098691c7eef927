"""Share a run out over processes: those of torchrun, on one machine or several, and their workers.

Any launcher that sets RANK and WORLD_SIZE in the environment shares the sequences out.
"""

import datetime
import logging
import os
from collections.abc import Sequence
from typing import TypeVar

from lib.models.aiatrack.onnx.session import CUDA, import_onnxruntime
from lib.test.tracker.options import TrackerOptions

Item = TypeVar("Item")

logger = logging.getLogger(__name__)

TIMEOUT = datetime.timedelta(days=30)  # a process may be done long before the others


def my_share(items: Sequence[Item]) -> Sequence[Item]:
    """Return what this process does of `items`, and say so where that is not all.

    Raises:
        ValueError: RANK or WORLD_SIZE in the environment is wrong.
    """
    rank, size = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not (rank.isdecimal() and size.isdecimal()) or int(rank) >= int(size):
        raise ValueError(
            "RANK and WORLD_SIZE in the environment must be whole numbers with "
            f"0 <= RANK < WORLD_SIZE; given: {rank!r} and {size!r}; without a launcher, unset both"
        )
    share = items[int(rank) :: int(size)]
    if len(share) < len(items):
        logger.warning(
            "this is process %s of %s, says the environment (RANK, WORLD_SIZE): it does %d of %d "
            "sequences, others must do the rest; without a launcher, unset both",
            *(rank, size, len(share), len(items)),
        )
    return share


def worker_device(options: TrackerOptions, index: int, workers: int = 1) -> str:
    """Choose the device of a worker among a process's `workers`: all GPUs are used for "auto"."""
    device = str(options.device)
    onnx = options.backend == "onnx"
    if device != "auto" or (onnx and CUDA not in import_onnxruntime().get_available_providers()):
        return device
    import torch

    count = torch.cuda.device_count()
    if not count:
        return device
    return f"cuda:{(int(os.environ.get('LOCAL_RANK', 0)) * workers + index) % count}"


def finish_together() -> None:
    """Under torchrun, wait until every process is done: it ends all others as soon as one fails."""
    if "TORCHELASTIC_RUN_ID" not in os.environ or int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return
    import torch.distributed as dist

    dist.init_process_group("gloo", timeout=TIMEOUT)
    try:
        dist.barrier()
    finally:
        dist.destroy_process_group()
