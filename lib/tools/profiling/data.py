"""Where the time of loading goes, whether it limits training, and how fast a large set opens.

Samples are drawn in this process on one core, as in one worker. Their time is that of the
processor, which other programs disturb less than the clock's.
"""

import contextlib
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from easydict import EasyDict

from lib.io.layouts import write_got10k
from lib.io.store import FolderStore
from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.plan import plan_clip
from lib.synthetic.procedural import ProceduralTextures
from lib.synthetic.render import render
from lib.train.data.batch import collate
from lib.train.data.loader import build_loader
from lib.train.data.processing import read_search_config
from lib.train.data.sampler import TrackingSampler
from lib.train.dataset.base_dataset import BaseDataset
from lib.train.dataset.benchmarks import TrackingNet
from lib.train.dataset.splits import trackingnet_names
from lib.train.dataset.synthetic import SyntheticClips
from lib.utils.image import decode_rgb

# Of a sample's time. Boxes are looked up, or those of a synthetic clip planned and measured; its
# frames are drawn, those of other data sets read and decoded.
IN_DATASETS = ("boxes", "drawing", "reading", "decoding")
PARTS = (*IN_DATASETS, "making", "assembly")  # making: choosing frames, windows, proposals
KINDS = ("plain", "default", "fast")  # of training step, see training.py


class TimedDataset:
    """A data set that counts the processor's time for its frames, and what it reads."""

    def __init__(self, dataset: BaseDataset | SyntheticClips, totals: dict[str, float]) -> None:
        """totals: to which counts and seconds are added, named as in `profile_loading`."""
        self._dataset, self._totals = dataset, totals
        self.name, self.is_video = dataset.name, dataset.is_video
        self.lengths, self.visible_counts = dataset.lengths, dataset.visible_counts
        self.sequence_name = dataset.sequence_name

    def boxes(self, sequence: int) -> np.ndarray:
        """See `TrackingDataset`, as for the others."""
        with self._adding("boxes"):
            return self._dataset.boxes(sequence)

    def visible(self, sequence: int) -> np.ndarray:
        with self._adding("boxes"):
            return self._dataset.visible(sequence)

    def read_frame(self, sequence: int, frame: int) -> np.ndarray:
        self._totals["images"] += 1
        if isinstance(self._dataset, SyntheticClips):
            with self._adding("drawing"):
                return self._dataset.read_frame(sequence, frame)
        path, store = self._dataset.frame_path(sequence, frame), self._dataset.store
        with self._adding("reading"):
            content = store.read_bytes(path)
        self._totals["bytes"] += len(content)
        with self._adding("decoding"):
            return decode_rgb(content, store.root / path)

    @contextlib.contextmanager
    def _adding(self, part: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self._totals[part] += time.process_time() - start


def write_clips(root: Path, *, clips: int, length: int, height: int, width: int) -> None:
    """Write synthetic clips as GOT-10k's validation set."""
    options, textures = ClipOptions(length=length, height=height, width=width), ProceduralTextures()
    plans = (plan_clip(np.random.default_rng(i), textures, options) for i in range(clips))
    named = ((f"clip{i}", render(plan)) for i, plan in enumerate(plans))
    write_got10k(root, named, split="val", quality=90)


def profile_loading(
    datasets: Mapping[BaseDataset | SyntheticClips, float], cfg: EasyDict, samples: int
) -> dict[str, float]:
    """Draw samples from data sets by their ratios, put them in batches, and split the time.

    Returns:
        Counts: samples, images, bytes. Seconds of the processor: PARTS, with their sum, total;
        unpacking, in the training process, if it trains on a CPU. Seconds by the clock: clock (as
        total), first_batch and later_batch (see `_time_worker`).
    """
    totals: dict[str, float] = defaultdict(float)
    timed = [TimedDataset(dataset, totals) for dataset in datasets]
    windows, max_gap = read_search_config(cfg), cfg.DATA.MAX_SAMPLE_INTERVAL
    sampler = TrackingSampler(timed, list(datasets.values()), windows, max_gap)
    collate([sampler.draw(np.random.default_rng(0))]).to("cpu")  # loads libraries
    first_batch, later_batch = _time_worker(sampler, cfg.TRAIN.BATCH_SIZE)
    totals.clear()
    totals |= dict.fromkeys((*PARTS, "bytes"), 0.0)
    for first in range(0, samples, cfg.TRAIN.BATCH_SIZE):
        begin, start = time.perf_counter(), time.process_time()
        numbers = range(first, min(first + cfg.TRAIN.BATCH_SIZE, samples))
        drawn = [sampler.draw(np.random.default_rng((1, number))) for number in numbers]
        middle = time.process_time()
        batch = collate(drawn)
        end = time.process_time()
        totals["clock"] += time.perf_counter() - begin
        batch.to("cpu")
        totals["making"] += middle - start
        totals["assembly"] += end - middle
        totals["unpacking"] += time.process_time() - end
    totals["total"] = totals["making"] + totals["assembly"]
    totals["making"] -= sum(totals[part] for part in IN_DATASETS)
    return {"samples": samples, **totals, "first_batch": first_batch, "later_batch": later_batch}


def find_limit(
    step: Mapping[str, Any], loading: Mapping[str, float], cores: int
) -> dict[str, float | str]:
    """What limits training on one device: the step, or the processes that load its samples.

    They have the cores that the step leaves: all but one beside a GPU, all but its threads on a
    CPU, and one at least.

    Args:
        step: of `profile_training`. loading: of `profile_loading`.

    Returns:
        Samples a second: step (of the faster kind), process (one that loads). Loading processes:
        room (for how many there are cores), needed (to keep up). limit: "step" or "loading".
    """
    rate = max(step[kind]["samples_per_second"] for kind in KINDS if kind in step)
    process = loading["samples"] / loading["total"]
    room = max(1, cores - (step["threads"] if step["device"] == "cpu" else 1))
    needed = math.ceil(rate / process)
    limit = "step" if needed <= room else "loading"
    rates = {"step": rate, "process": process}
    return {**rates, "cores": cores, "room": room, "needed": needed, "limit": limit}


def _time_worker(sampler: TrackingSampler, batch_size: int) -> list[float]:
    """Seconds until the first batch of two epochs arrives from one worker; the first starts it."""
    size = batch_size
    loader = build_loader(sampler, batch_size=size, workers=1, seed=0, epoch_length=size)
    seconds = []
    for epoch in range(2):
        loader.set_epoch(epoch)
        start = time.perf_counter()
        batches = iter(loader)
        next(batches)
        seconds.append(time.perf_counter() - start)
        list(batches)  # to the end, where the worker gets ready for the next epoch
    return seconds


class _WithoutFrames(TrackingNet):
    """TrackingNet's annotations alone: its frames would be millions of files."""

    def _find_frames(self, sequence: str, count: int) -> Sequence[str]:
        return ()


def profile_opening(root: Path, sequences: int, length: int = 470) -> dict[str, float]:
    """Write annotations as TrackingNet's (30,132 sequences of 470 frames), and open them twice:
    seconds of the first (annotations parsed) and the second (from the index), and counts."""
    boxes = np.random.default_rng(0).integers(1, 400, (length, 4))
    text = "".join(f"{x},{y},{w},{h}\n" for x, y, w, h in boxes)
    for number in range(sequences):
        folder = root / f"TRAIN_{number % 12}" / "anno"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"id{number:06d}.txt").write_text(text)
    seconds: dict[str, float] = {}
    for opening in ("first", "second"):
        start = time.perf_counter()
        store = FolderStore(root)
        dataset = _WithoutFrames("TRACKINGNET", store, trackingnet_names(store, range(12)))
        seconds[opening] = time.perf_counter() - start
    return {"sequences": len(dataset), "boxes": int(dataset.lengths.sum()), **seconds}
