"""Measure how fast training data load on one core, and where the time goes.

python tracking/profile_data.py                        # made-up 720p JPEGs
python tracking/profile_data.py --datasets LASOT COCO17
python tracking/profile_data.py --opening 30000        # how fast a large set opens
"""

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.config.aiatrack.config import load_config
from lib.tools.profiling.data import (
    profile_half_size,
    profile_opening,
    profile_samples,
    profile_worker,
    write_clips,
)
from lib.train.admin.environment import find_data
from lib.train.data.processing import read_search_config
from lib.train.dataset import build_dataset
from lib.utils.image import jpeg_decoder
from lib.utils.paths import DataPath


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="baseline", help="recipe (default: baseline)")
    parser.add_argument("--samples", type=int, default=300, help="samples drawn (default: 300)")
    parser.add_argument("--datasets", nargs="+", help="your data sets (default: made-up clips)")
    parser.add_argument("--height", type=int, default=720, help="of made-up frames, pixels")
    parser.add_argument("--width", type=int, default=1280, help="of made-up frames, pixels")
    parser.add_argument("--opening", type=int, metavar="N", help="open N made-up sequences instead")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.opening:
            show_opening(Path(folder), arguments.opening)
        else:
            show_samples(Path(folder), arguments)


def show_opening(folder: Path, sequences: int) -> None:
    """Print how fast a large set opens."""
    times = profile_opening(folder, sequences)
    print(f"{times.sequences} sequences, {times.boxes} boxes, in the files' cache of the system")
    print(f"first opening (annotations parsed)  {times.first:8.2f} s")
    print(f"second opening (from the index)     {times.second:8.2f} s")


def show_samples(folder: Path, arguments: argparse.Namespace) -> None:
    """Print samples a second, the parts, and what half-size decoding would change."""
    cfg = load_config(arguments.config)
    windows, gap = read_search_config(cfg), cfg.DATA.MAX_SAMPLE_INTERVAL
    find = find_data
    if not arguments.datasets:
        print(f"composing clips of {arguments.width}x{arguments.height} ...")
        write_clips(folder, clips=6, length=24, height=arguments.height, width=arguments.width)
        find = lambda setting: DataPath(folder, "made-up clips")  # noqa: E731
    datasets = [build_dataset(name, find) for name in arguments.datasets or ["GOT10K_val"]]
    result = profile_samples(datasets, windows, gap, arguments.samples, cfg.TRAIN.BATCH_SIZE)
    size = result.bytes / max(result.images, 1) / 1024
    print(f"{result.samples} samples, {result.images} images of {size:.0f} KiB on average")
    print(f"JPEG decoder {jpeg_decoder()}, OpenCV {cv2.__version__}, one core")
    print(
        f"{result.samples / result.total:8.1f} samples/s of the processor's time"
        f" ({result.samples / result.clock:.1f} by the clock)"
    )
    for part in ("reading", "decoding", "making", "assembly"):
        seconds = getattr(result, part)
        print(
            f"{part:>10} {1000 * seconds / result.samples:6.2f} ms a sample"
            f"  {seconds / result.total:6.1%}"
        )
    print(
        f"{'unpacking':>10} {1000 * result.unpacking / result.samples:6.2f} ms a sample, in the "
        f"training process on a CPU"
    )
    worker = profile_worker(datasets, windows, gap, cfg.TRAIN.BATCH_SIZE)
    print(
        f"first batch of {cfg.TRAIN.BATCH_SIZE} from one worker: {worker.first:.2f} s with its "
        f"start, {worker.later:.2f} s later"
    )
    half = profile_half_size(datasets[0], windows, gap, arguments.samples)
    print(
        f"half-size decoding (not used: it changes pixels): for {half.share:.0%} of the windows, "
        f"{1000 * half.seconds_half:.2f} instead of {1000 * half.seconds_full:.2f} ms an image; "
        f"crops differ by {half.mean_difference:.2f} of 255 on average, "
        f"{half.greatest_difference:.0f} at most"
    )


if __name__ == "__main__":
    main()
