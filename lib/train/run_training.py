"""One training process from its first line to its exit: device, process group, logging, errors.

Started by tracking/train.py, directly or once per GPU by torchrun's launcher; neighbour:
train_script.py does the wiring.
"""

import logging
import sys
from collections.abc import Callable

import torch

from lib.train.admin import distributed
from lib.train.admin.settings import Settings
from lib.train.train_script import BuildSamplers, recipe_samplers, train
from lib.utils.stopping import Stopped

logger = logging.getLogger(__name__)


def run(settings: Settings, build_samplers: BuildSamplers = recipe_samplers) -> dict[str, float]:
    """Train in this process.

    Args:
        build_samplers: what samples are drawn from; the recipe's data sets unless told otherwise.

    Returns:
        Means of the last validation, or of the last epoch; empty if there was nothing to do.

    Raises:
        SystemExit: 128 + signal number, if a signal ended the run after saving.
        Exception: whatever went wrong, after logging it with the rank.
    """
    device = choose_device(settings.device)
    with distributed.process_group(device):
        close_log = _open_log(settings)
        try:
            return train(settings, device, build_samplers)
        except Stopped as stopped:
            logger.warning("%s", stopped)
            raise SystemExit(128 + stopped.signal_number) from None
        except Exception:
            logger.exception("rank %d of %d failed", distributed.rank(), distributed.world_size())
            raise
        finally:
            close_log()


def choose_device(name: str) -> torch.device:
    """Make "auto", "cpu" or "cuda" a device, the local rank's among GPUs.

    Raises:
        RuntimeError: a GPU is asked for that is not there.
    """
    available = torch.cuda.is_available()
    if name == "cpu" or (name == "auto" and not available):
        return torch.device("cpu")
    index = distributed.local_rank()
    if not available or index >= torch.cuda.device_count():
        raise RuntimeError(
            f"local rank {index} needs GPU {index}, and {torch.cuda.device_count()} are visible; "
            f"lower --nproc or use --device cpu"
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def _open_log(settings: Settings) -> Callable[[], None]:
    """Log to the terminal, and from the main process to the run's file; returns how to end that."""
    root = logging.getLogger()
    rank = distributed.rank()
    layout = logging.Formatter(f"%(asctime)s %(levelname)s rank {rank}: %(message)s")
    if distributed.world_size() == 1:
        layout = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if distributed.is_main():
        settings.log_file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(settings.log_file, encoding="utf-8"))
    level = root.level
    root.setLevel(logging.INFO if distributed.is_main() else logging.WARNING)
    for handler in handlers:
        handler.setFormatter(layout)
        root.addHandler(handler)

    def close() -> None:
        root.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()

    return close
