"""From a recipe to the source of its samples: opens the data sets that it names.

Used by train_script.py. Where the data lie is lib/train/admin/environment.py's to say.
"""

from easydict import EasyDict

from lib.train.admin.environment import find_data
from lib.train.data.processing import read_windows
from lib.train.data.sampler import TrackingSampler
from lib.train.dataset import build_dataset


def build_sampler(cfg: EasyDict, part: str = "TRAIN") -> TrackingSampler:
    """Open the data sets of a recipe's part.

    Args:
        part: "TRAIN", or "VAL" for the held-out sequences. Sets of ratio 0 are not opened.

    Raises:
        ValueError, FileNotFoundError, DatasetError: see `build_dataset` and `TrackingSampler`.
    """
    names, ratios = cfg.DATA[part].DATASETS_NAME, cfg.DATA[part].DATASETS_RATIO
    if len(names) != len(ratios):
        raise ValueError(
            f"DATA.{part}.DATASETS_RATIO {list(ratios)} needs a number for each of {list(names)}"
        )
    wanted = [(name, ratio) for name, ratio in zip(names, ratios, strict=True) if ratio]
    datasets = [build_dataset(name, find_data) for name, _ in wanted]
    shares = [ratio for _, ratio in wanted]
    return TrackingSampler(datasets, shares, read_windows(cfg), cfg.DATA.MAX_SAMPLE_INTERVAL)
