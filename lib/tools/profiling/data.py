"""Where the time of loading goes, what a worker costs, and how fast a large set opens.

Samples are drawn in this process on one core, as in one worker. Their time is that of the
processor, which other programs disturb less than the clock's.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

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
from lib.utils.image import decode_rgb


class TimedDataset:
    """A data set that counts what it reads, and the processor's time for it."""

    def __init__(self, dataset: BaseDataset, totals: dict[str, float]) -> None:
        """totals: to which images, bytes, reading and decoding (seconds) are added."""
        self._dataset, self._totals = dataset, totals
        self.name, self.is_video = dataset.name, dataset.is_video
        self.lengths, self.visible_counts = dataset.lengths, dataset.visible_counts
        self.sequence_name = dataset.sequence_name
        self.boxes, self.visible = dataset.boxes, dataset.visible

    def read_frame(self, sequence: int, frame: int) -> np.ndarray:
        """See `BaseDataset.read_frame`."""
        path, store = self._dataset.frame_path(sequence, frame), self._dataset.store
        start = time.process_time()
        content = store.read_bytes(path)
        middle = time.process_time()
        image = decode_rgb(content, store.root / path)
        self._totals["reading"] += middle - start
        self._totals["decoding"] += time.process_time() - middle
        self._totals["images"] += 1
        self._totals["bytes"] += len(content)
        return image


def write_clips(root: Path, *, clips: int, length: int, height: int, width: int) -> None:
    """Write synthetic clips as GOT-10k's validation set."""
    options, textures = ClipOptions(length=length, height=height, width=width), ProceduralTextures()
    plans = (plan_clip(np.random.default_rng(i), textures, options) for i in range(clips))
    named = ((f"clip{i}", render(plan)) for i, plan in enumerate(plans))
    write_got10k(root, named, split="val", quality=90)


def profile_loading(
    datasets: Sequence[BaseDataset], cfg: EasyDict, samples: int
) -> dict[str, float]:
    """Draw samples from data sets in equal shares, put them in batches, and split the time.

    Returns:
        Counts: samples, images, bytes. Seconds of the processor: reading, decoding, making
        (choosing frames, windows, proposals) and assembly (of batches), with their sum, total;
        unpacking, in the training process, if it trains on a CPU. Seconds by the clock: clock (as
        total), first_batch and later_batch (see `_time_worker`).
    """
    totals: dict[str, float] = defaultdict(float)
    timed = [TimedDataset(dataset, totals) for dataset in datasets]
    windows, max_gap = read_search_config(cfg), cfg.DATA.MAX_SAMPLE_INTERVAL
    sampler = TrackingSampler(timed, [1] * len(timed), windows, max_gap)
    collate([sampler.draw(np.random.default_rng(0))]).to("cpu")  # loads libraries
    first_batch, later_batch = _time_worker(sampler, cfg.TRAIN.BATCH_SIZE)
    totals.clear()
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
    totals["making"] -= totals["reading"] + totals["decoding"]
    return {"samples": samples, **totals, "first_batch": first_batch, "later_batch": later_batch}


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
