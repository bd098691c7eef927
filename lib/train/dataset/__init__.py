"""Training sets by the names that recipes use."""

import logging
from collections.abc import Callable
from typing import NamedTuple

from lib.config.aiatrack.names import ALIASES
from lib.io.store import Store, open_store
from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.procedural import ProceduralTextures
from lib.synthetic.textures import PhotoTextures
from lib.train.dataset.base_dataset import BaseDataset, DatasetError
from lib.train.dataset.benchmarks import Got10k, Lasot, TrackingNet
from lib.train.dataset.coco_seq import CocoSeq
from lib.train.dataset.demo import make_demo
from lib.train.dataset.own_video import OwnVideo
from lib.train.dataset.splits import got10k_names, read_split, trackingnet_names
from lib.train.dataset.synthetic import HARD, IN_PLACE, SyntheticClips
from lib.utils.paths import DataPath

__all__ = [
    "ALIASES",
    "DATASETS",
    "SYNTHETIC",
    "BaseDataset",
    "DatasetError",
    "SyntheticClips",
    "build_dataset",
]

logger = logging.getLogger(__name__)


class Entry(NamedTuple):
    """How a name in a recipe becomes a data set."""

    setting: str  # which path it is read from, as in lib/train/admin/local.py
    open: Callable[[str, Store], BaseDataset]  # by name


class SyntheticEntry(NamedTuple):
    """How a name in a recipe becomes synthetic clips."""

    split: str  # of the photographs
    seed: int
    procedural: bool = False  # textures that are computed, instead of photographs
    options: ClipOptions = HARD
    rectangles: float = 0.5  # of the targets in place; the others are segments


def _got10k(
    folder: str, table: str | None = None, less: str | None = None, setting: str = "got10k"
) -> Entry:
    """A split of GOT-10k, or of data in its layout."""
    return Entry(
        setting,
        lambda name, store: Got10k(name, store, got10k_names(store, folder, table, less), folder),
    )


def _coco(setting: str, annotations: str, images: str, *, whole: bool) -> Entry:
    return Entry(
        setting, lambda name, store: CocoSeq(name, store, annotations, images, whole=whole)
    )


def _trackingnet(first: int, last: int) -> Entry:
    """The training sets TRAIN_<first> to TRAIN_<last>."""
    sets = range(first, last + 1)
    return Entry(
        "trackingnet", lambda name, store: TrackingNet(name, store, trackingnet_names(store, sets))
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
    "COCO17": _coco("coco", "annotations/instances_train2017.json", "images/train2017", whole=True),
    "TRACKINGNET": _trackingnet(0, 11),
    "OWN_VIDEO": Entry("own_video", OwnVideo),
    "OWN_IMAGES": _coco("own_images", "annotations.json", "images", whole=False),
    "DEMO": _got10k("train", setting="demo"),
    "DEMO_VAL": _got10k("val", setting="demo"),
}
# TRACKINGNET_0_3: of TrackingNet's twelve training sets, TRAIN_0 to TRAIN_3; likewise all others.
PARTS = {f"TRACKINGNET_{a}_{b}": _trackingnet(a, b) for a in range(12) for b in range(a, 12)}
SYNTHETIC: dict[str, SyntheticEntry] = {
    "SYNTHETIC": SyntheticEntry("train", seed=1),
    "SYNTHETIC_VAL": SyntheticEntry("val", seed=2),
    "SYNTHETIC_IN_PLACE": SyntheticEntry("train", seed=5, options=IN_PLACE, rectangles=0.0),
    "SYNTHETIC_PARTS": SyntheticEntry("train", seed=6, options=IN_PLACE, rectangles=1.0),
    "SYNTHETIC_PROCEDURAL": SyntheticEntry("train", seed=3, procedural=True),
    "SYNTHETIC_PROCEDURAL_VAL": SyntheticEntry("val", seed=4, procedural=True),
}
# Which path each name is read from; the missing ones need none.
SETTINGS = {name: entry.setting for name, entry in DATASETS.items()} | {
    name: "photographs" for name, entry in SYNTHETIC.items() if not entry.procedural
}


def check_present(name: str, find: Callable[[str], DataPath]) -> None:
    """Look for a data set's folder or file as `build_dataset` will; FileNotFoundError: none."""
    name = ALIASES.get(name, name)
    setting = SETTINGS.get("TRACKINGNET" if name in PARTS else name)
    if setting not in (None, "demo") and not (root := find(setting)).path.exists():
        raise FileNotFoundError(
            f"{name}: nothing at {root.path} (from {root.source}). {root.hint()}"
        )


def build_dataset(name: str, find: Callable[[str], DataPath]) -> BaseDataset | SyntheticClips:
    """Open a data set by its name in a recipe. Missing demo data are made.

    Args:
        name: a key of DATASETS, PARTS, SYNTHETIC or ALIASES.
        find: gives the path for a setting, such as `lib.train.admin.environment.find_data`.

    Raises:
        ValueError: the name is unknown; lists the known ones.
        FileNotFoundError: the data, or a part of them, are not where the settings say.
        DatasetError: annotations and frames do not fit together.
    """
    name = ALIASES.get(name, name)
    if name in SYNTHETIC:
        return _build_synthetic(name, find)
    entry = DATASETS.get(name) or PARTS.get(name)
    if entry is None:
        raise ValueError(f"no data set {name!r}; there are: {', '.join([*DATASETS, *SYNTHETIC])}")
    root = find(entry.setting)
    if entry.setting == "demo":
        make_demo(root.path)
    try:
        dataset = entry.open(name, open_store(root.path))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{name}: {error} (from {root.source}). {root.hint()}") from error
    except DatasetError as error:
        separator = "\n  " if "\n" in str(error) else " "
        raise DatasetError(f"{error}{separator}(from {root.source})") from error
    logger.info("%s: %d sequences from %s", name, len(dataset), dataset.store.root)
    return dataset


def _build_synthetic(name: str, find: Callable[[str], DataPath]) -> SyntheticClips:
    entry = SYNTHETIC[name]
    if entry.procedural:
        logger.info("%s: clips of procedural textures", name)
        return SyntheticClips(name, ProceduralTextures(), seed=entry.seed, options=entry.options)
    root = find("photographs")
    try:
        textures = PhotoTextures(root.path, entry.split, entry.rectangles)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{name}: {error} (from {root.source}). {root.hint()} SYNTHETIC_PROCEDURAL needs none."
        ) from error
    logger.info("%s: clips of %d photographs in %s", name, len(textures.numbers), root.path)
    return SyntheticClips(name, textures, seed=entry.seed, options=entry.options)
