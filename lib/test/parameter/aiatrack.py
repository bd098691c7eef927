"""From a recipe and a benchmark's name to the tracker's settings. Source: docs/method.md, 3."""

import os
from dataclasses import dataclass
from pathlib import Path

from easydict import EasyDict

from lib.checkpoint.names import EPOCH_FILE, checkpoints_newest_first
from lib.config.aiatrack.config import check_hyper
from lib.utils.paths import PROJECT_ROOT


@dataclass(frozen=True)
class TrackerParams:
    """Settings of one tracker."""

    search_factor: float  # window side over sqrt(w h) of the target
    search_size: int  # S, pixels
    capacity: int  # remembered frames
    ensemble: int  # short-term references
    threshold: float  # raw output of the IoU head (2 * IoU - 1) above which a frame is remembered
    lost_below: float  # predicted IoU in [0, 1] below which the target counts as lost


def make_params(
    cfg: EasyDict,
    dataset: str,
    hyper: tuple[int, int, float] | None = None,
    lost_below: float | None = None,
) -> TrackerParams:
    """Choose the settings of a benchmark.

    Args:
        cfg: a checked recipe.
        dataset: name such as "otb"; one without TEST.HYPER.<NAME> takes TEST.HYPER.DEFAULT.
        hyper: (capacity, ensemble, threshold) instead of the recipe's; ConfigError if impossible.
        lost_below: instead of the recipe's TEST.LOST_BELOW.
    """
    if hyper is None:
        hyper = cfg.TEST.HYPER.get(dataset.upper(), cfg.TEST.HYPER.DEFAULT)
    factor, size = cfg.TEST.SEARCH_FACTOR, cfg.TEST.SEARCH_SIZE
    capacity, ensemble, threshold = check_hyper(hyper, "hyper")
    lost_below = cfg.TEST.LOST_BELOW if lost_below is None else lost_below
    return TrackerParams(factor, size, capacity, ensemble, threshold, lost_below)


def parse_hyper(text: str | None) -> tuple[int, int, float] | None:
    """Read programs' --hyper, "100,3,0.7"; None stays None, other texts raise ValueError."""
    if text is None:
        return None
    try:
        capacity, ensemble, threshold = text.split(",")
        return int(capacity), int(ensemble), float(threshold)
    except ValueError:
        raise ValueError(
            f"--hyper must be capacity,ensemble,threshold, such as 100,3,0.7; given: {text!r}"
        ) from None


def find_checkpoint(cfg: EasyDict, config: str, root: Path = PROJECT_ROOT) -> Path:
    """Find the trained weights of a recipe: checkpoints/train/aiatrack/<config>/AIATRACK_ep<N>.

    Where there are none, those beside the recipe: experiments/aiatrack/<config>.safetensors.

    Args:
        cfg: the recipe; TEST.EPOCH is N.
        root: the project's folder, where the released archive is unpacked.

    Raises:
        FileNotFoundError: says where it looked, what is there and how to get the file.
    """
    folder = root / "checkpoints" / "train" / "aiatrack" / config
    path = folder / EPOCH_FILE.format(cfg.TEST.EPOCH)
    shipped = root / "experiments" / "aiatrack" / f"{config}.safetensors"
    for candidate in (path, shipped):
        if os.path.lexists(candidate):  # a folder or dangling link is refused when it is read
            return candidate
    existing = ", ".join(p.name for p in checkpoints_newest_first(folder)[:5]) or "no checkpoint"
    raise FileNotFoundError(
        f"no checkpoint {path}; that folder has {existing}. Unpack the released Trained_Models.zip "
        f"in {root}, train with `python tracking/train.py --config {config}`, or name a file with "
        f"--checkpoint (TEST.EPOCH in the recipe chooses the epoch). `--param demo` has "
        f"weights here."
    )
