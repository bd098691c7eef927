"""Where the time of loading goes, what a worker costs, and how fast a large set opens.

Used by tracking/profile_data.py. Samples are drawn in this process on one core, as in one worker.
Their time is that of the processor, which other programs disturb less than the clock's.
"""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from lib.io.store import FolderStore, Store
from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.layouts import write_got10k
from lib.synthetic.plan import plan_clip
from lib.synthetic.procedural import ProceduralTextures
from lib.synthetic.render import render
from lib.train.data.batch import collate
from lib.train.data.loader import build_loader
from lib.train.data.processing import SearchConfig
from lib.train.data.random_boxes import jitter_box
from lib.train.data.sampler import TrackingSampler
from lib.train.dataset.base_dataset import BaseDataset
from lib.train.dataset.splits import trackingnet_names
from lib.train.dataset.tracking_net import TrackingNet
from lib.utils.crop import Crop
from lib.utils.image import decode_rgb


class Profile(NamedTuple):
    """Seconds of `samples` samples on one core; by the processor's time but for `clock`."""

    samples: int
    images: int  # read for them
    bytes: int  # of their files
    reading: float
    decoding: float
    making: float  # choosing frames, windows, proposals
    assembly: float  # of batches
    unpacking: float  # in the training process, if it trains on a CPU
    clock: float  # of all but unpacking, by the clock

    @property
    def total(self) -> float:
        """Seconds of a worker."""
        return self.reading + self.decoding + self.making + self.assembly


class WorkerTimes(NamedTuple):
    """Seconds by the clock until the first batch of an epoch arrives from one worker."""

    first: float  # with starting the worker
    later: float  # from the worker that is there


class HalfSize(NamedTuple):
    """What decoding at half size would give, where a window is shrunk to half or less anyway."""

    share: float  # of the windows that it could be used for
    seconds_full: float  # an image
    seconds_half: float  # an image
    mean_difference: float  # of crop pixels of those windows, of 255
    greatest_difference: float


class OpeningTimes(NamedTuple):
    """Seconds to open a set of many sequences."""

    sequences: int
    boxes: int
    first: float  # annotations parsed
    second: float  # from the index


class TimedStore:
    """A store that measures itself."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.root = store.root
        self.names, self.stamp, self.read_text = store.names, store.stamp, store.read_text
        self.restart()

    def restart(self) -> None:
        """Count from 0."""
        self.images, self.bytes, self.reading, self.decoding = 0, 0, 0.0, 0.0

    def read_bytes(self, path: str) -> bytes:
        """See `Store`."""
        start = time.process_time()
        content = self.store.read_bytes(path)
        self.reading += time.process_time() - start
        self.bytes += len(content)
        return content

    def read_image(self, path: str) -> np.ndarray:
        """See `Store`."""
        content = self.read_bytes(path)
        start = time.process_time()
        image = decode_rgb(content, self.root / path)
        self.decoding += time.process_time() - start
        self.images += 1
        return image


def write_clips(root: Path, *, clips: int, length: int, height: int, width: int) -> None:
    """Compose clips as GOT-10k's validation set."""
    options = ClipOptions(length=length, height=height, width=width)
    made = (
        (
            f"clip{number}",
            render(plan_clip(np.random.default_rng(number), ProceduralTextures(), options)),
        )
        for number in range(clips)
    )
    write_got10k(root, made, split="val", quality=90)


def profile_samples(
    datasets: Iterable[BaseDataset], windows: SearchConfig, max_gap: int, samples: int, batch: int
) -> Profile:
    """Draw samples from data sets in equal shares, put them in batches, and split the time.

    Args:
        batch: samples of a batch.
    """
    datasets = list(datasets)
    stores = [TimedStore(dataset.store) for dataset in datasets]
    for dataset, store in zip(datasets, stores, strict=True):
        dataset.store = store
    sampler = TrackingSampler(datasets, [1] * len(datasets), windows, max_gap)
    collate([sampler.draw(np.random.default_rng(0))]).to("cpu")  # loads libraries
    for store in stores:
        store.restart()
    drawing = assembly = unpacking = clock = 0.0
    for first in range(0, samples, batch):
        begin, start = time.perf_counter(), time.process_time()
        numbers = range(first, min(first + batch, samples))
        drawn = [sampler.draw(np.random.default_rng((1, number))) for number in numbers]
        middle = time.process_time()
        assembled = collate(drawn)
        end = time.process_time()
        clock += time.perf_counter() - begin
        assembled.to("cpu")
        drawing, assembly = drawing + middle - start, assembly + end - middle
        unpacking += time.process_time() - end
    for dataset, store in zip(datasets, stores, strict=True):
        dataset.store = store.store
    images, size, reading, decoding = (
        sum(getattr(store, field) for store in stores)
        for field in ("images", "bytes", "reading", "decoding")
    )
    making = drawing - reading - decoding
    return Profile(samples, images, size, reading, decoding, making, assembly, unpacking, clock)


def profile_worker(
    datasets: Sequence[BaseDataset], windows: SearchConfig, max_gap: int, batch: int
) -> WorkerTimes:
    """Start a loader with one worker and wait for the first batch of two epochs."""
    sampler = TrackingSampler(datasets, [1] * len(datasets), windows, max_gap)
    loader = build_loader(sampler, batch_size=batch, workers=1, seed=0, epoch_length=batch)
    seconds = []
    for epoch in range(2):
        loader.set_epoch(epoch)
        start = time.perf_counter()
        batches = iter(loader)
        next(batches)
        seconds.append(time.perf_counter() - start)
        for _ in batches:  # to the end, where the worker gets ready for the next epoch
            pass
    return WorkerTimes(*seconds)


def profile_half_size(
    dataset: BaseDataset, windows: SearchConfig, max_gap: int, images: int
) -> HalfSize:
    """Compare crops from whole images with crops from images decoded at half size."""
    sampler = TrackingSampler([dataset], [1], windows, max_gap)
    usable, times, differences = 0, np.zeros(2), []
    for number in range(images):
        generator = np.random.default_rng((2, number))
        _, sequence, (_, _, frame) = sampler.draw_frames(generator)
        box = jitter_box(dataset.boxes(sequence)[frame], windows.search, generator)
        content = dataset.store.read_bytes(dataset.frame_path(sequence, frame))
        encoded = np.frombuffer(content, np.uint8)
        window = Crop.around(box, windows.factor, windows.size)
        if window.side < 2 * windows.size:
            continue
        usable += 1
        decoded = []
        for flag in (cv2.IMREAD_COLOR, cv2.IMREAD_REDUCED_COLOR_2):
            start = time.perf_counter()
            decoded.append(cv2.imdecode(encoded, flag))
            times[len(decoded) - 1] += time.perf_counter() - start
        half = Crop.around(box / 2, windows.factor, windows.size)
        crops = [w.cut(image) for w, image in zip((window, half), decoded, strict=True)]
        shown = ~(crops[0].mask | crops[1].mask)
        if shown.any():
            pixels = [crop.image[shown].astype(np.float64) for crop in crops]
            differences.append(np.abs(pixels[0] - pixels[1]))
    if not differences:
        return HalfSize(0.0, 0.0, 0.0, 0.0, 0.0)
    every = np.concatenate(differences)
    return HalfSize(usable / images, *(times / usable), every.mean(), every.max())


class _Unframed(TrackingNet):
    """TrackingNet's annotations without frames."""

    def _find_frames(self, sequence: str, count: int) -> Sequence[str]:
        """Check nothing: millions of files would have to be made."""
        return ()


def profile_opening(root: Path, sequences: int, length: int = 470) -> OpeningTimes:
    """Write annotations as TrackingNet's (30,132 sequences of 470 frames), and open them twice."""
    boxes = np.random.default_rng(0).integers(1, 400, (length, 4))
    text = "".join(f"{x},{y},{w},{h}\n" for x, y, w, h in boxes)
    for number in range(sequences):
        folder = root / f"TRAIN_{number % 12}" / "anno"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"id{number:06d}.txt").write_text(text)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        store = FolderStore(root)
        dataset = _Unframed("TRACKINGNET", store, trackingnet_names(store, range(12)))
        seconds.append(time.perf_counter() - start)
    return OpeningTimes(len(dataset), int(dataset.lengths.sum()), *seconds)
