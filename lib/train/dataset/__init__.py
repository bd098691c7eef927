"""Training sets by the names that recipes use."""

from collections.abc import Callable
from typing import NamedTuple

from lib.train.dataset.base_video_dataset import BaseDataset, DatasetError
from lib.train.dataset.coco_seq import CocoSeq
from lib.train.dataset.demo import Demo, make_demo
from lib.train.dataset.got10k import Got10k
from lib.train.dataset.lasot import Lasot
from lib.train.dataset.own_video import OwnVideo
from lib.train.dataset.splits import got10k_names, own_names, read_split, trackingnet_names
from lib.train.dataset.tracking_net import TrackingNet
from lib.utils.paths import DataPath
from lib.utils.store import Store, open_store

__all__ = ["DATASETS", "BaseDataset", "DatasetError", "build_dataset"]


class Entry(NamedTuple):
    """How a name in a recipe becomes a data set."""

    setting: str  # which path it is read from, as in lib/train/admin/local.py
    make: Callable[[str, Store], BaseDataset]


def _got10k(folder: str, table: str | None = None, less: str | None = None) -> Entry:
    """A split of GOT-10k."""
    return Entry(
        "got10k",
        lambda name, store: Got10k(name, store, got10k_names(store, folder, table, less), folder),
    )


DATASETS: dict[str, Entry] = {
    "LASOT": Entry(
        "lasot", lambda name, store: Lasot(name, store, read_split("lasot_train_split"))
    ),
    "GOT10K_vottrain": _got10k("train", "got10k_vot_train_split"),
    "GOT10K_train_full": _got10k("train", "got10k_train_split"),
    # Held out: the training sequences that GOT10K_vottrain leaves, and the official validation set.
    "GOT10K_votval": _got10k("train", "got10k_train_split", less="got10k_vot_train_split"),
    "GOT10K_val": _got10k("val"),
    "COCO17": Entry(
        "coco",
        lambda name, store: CocoSeq(
            name, store, "annotations/instances_train2017.json", "images/train2017"
        ),
    ),
    "TRACKINGNET": Entry(
        "trackingnet",
        lambda name, store: TrackingNet(name, store, trackingnet_names(store, range(12))),
    ),
    "OWN_VIDEO": Entry("own_video", lambda name, store: OwnVideo(name, store, own_names(store))),
    "OWN_IMAGES": Entry(
        "own_images", lambda name, store: CocoSeq(name, store, "annotations.json", "images")
    ),
    "DEMO": Entry("demo", lambda name, store: Demo(name, store, "train")),
    "DEMO_VAL": Entry("demo", lambda name, store: Demo(name, store, "val")),
}


def build_dataset(name: str, find: Callable[[str], DataPath]) -> BaseDataset:
    """Open a data set by its name in a recipe. Demo data that are not there are made.

    Args:
        name: a key of DATASETS.
        find: gives the path for a setting, such as `lib.train.admin.environment.find_data`.

    Raises:
        ValueError: the name is unknown; lists those there are.
        FileNotFoundError: the data, or a part of them, are not where the settings say.
        DatasetError: annotations and frames do not fit together.
    """
    if name not in DATASETS:
        raise ValueError(f"no data set {name!r}; there are: {', '.join(DATASETS)}")
    entry = DATASETS[name]
    root = find(entry.setting)
    if entry.setting == "demo":
        make_demo(root.path)
    try:
        return entry.make(name, open_store(root.path))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{name}: {error} (from {root.source}). {root.hint()}") from error
