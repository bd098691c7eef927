"""Show where time goes: of a tracked frame in several modes, of a training step, of loading data.

    python tracking/profile_model.py
    python tracking/profile_model.py --modes plain,optimized,compiled,bf16,int8 --json profile.json
    python tracking/profile_model.py --param quick --device cuda --precision fp16 --compile
    python tracking/profile_model.py --modes optimized --frames 10000      # does memory grow?
    python tracking/profile_model.py --train --param demo
    python tracking/profile_model.py --data --datasets LASOT COCO17
    python tracking/profile_model.py --train --data --param demo          # which of the two limits?

Weights are random unless --checkpoint names some: they do not change the work. The modes take turns
in one process on a synthetic video; ratios are medians over frames, to the first mode.
--plain, --precision and --compile add the mode they describe.

--train: the step plain, as by default, and in bf16, channels-last, compiled; hours of the whole
recipe, and the operators that take longest. --precision bf16 compares the first two in bf16;
--no-compile leaves out compilation, which takes minutes on a CPU. --data: how fast samples load on
one core, and where that time goes. Both: the step and the recipe's data, and which of them limits
training on this machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2

from lib.cli.program import at_least, make_parser, run_program
from lib.config.aiatrack.config import load_config
from lib.test.evaluation.datasets import dataset_key
from lib.test.parameter.aiatrack import make_params
from lib.test.tracker.arguments import add_tracker_arguments, tracker_options
from lib.test.tracker.options import TrackerOptions
from lib.tools.profiling.modes import MODES
from lib.train.admin.environment import find_data
from lib.train.admin.settings import Settings
from lib.train.dataset import BaseDataset, SyntheticClips, build_dataset
from lib.utils.device import allowed_cores, choose_device
from lib.utils.files import atomic_write_text, check_outputs
from lib.utils.paths import DataPath

if TYPE_CHECKING:
    from lib.models.aiatrack.aiatrack import AiATrack

Report = dict[str, Any]
TrainingSet = BaseDataset | SyntheticClips


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add_tracker_arguments(parser)
    parser.set_defaults(compile=None)  # not given: off for tracking, on for training
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--overwrite", action="store_true", help="replace that file if it exists")
    parser.add_argument("--train", action="store_true", help="the training step, not the tracker")
    parser.add_argument("--data", action="store_true", help="training data, not the tracker")

    add = parser.add_argument_group("tracking").add_argument
    whose = "whose number of references to take (default: otb)"
    add("--dataset", default="otb", type=dataset_key, help=whose)
    add("--modes", default="plain,optimized", help=f"of {', '.join(MODES)} (default: the first 2)")
    add("--frames", type=at_least(1), default=40, help="frames measured (default: 40)")
    add("--batch", type=batch_sizes, metavar="B,B", help="targets at once, such as 1,8,32, instead")

    add = parser.add_argument_group("with --train").add_argument
    add("--batch-size", type=int, help="samples (default: recipe's)")
    add("--steps", type=int, default=10, help="of each kind (default: 10)")

    add = parser.add_argument_group("with --data").add_argument
    add("--samples", type=at_least(1), default=300, help="samples drawn (default: 300)")
    which = (
        "data sets, in equal shares (default: clips written as JPEGs; with --train the recipe's)"
    )
    add("--datasets", nargs="+", default=[], help=which)
    add("--height", type=int, default=720, help="of synthetic frames, pixels")
    add("--width", type=int, default=1280, help="of synthetic frames, pixels")
    add("--opening", type=int, metavar="N", help="how fast N synthetic sequences open, instead")
    args = parser.parse_args()
    args.modes = args.modes.split(",")
    if unknown := [name for name in args.modes if name not in MODES]:
        parser.error(f"--modes knows {', '.join(MODES)}; given: {', '.join(unknown)}")
    if args.opening and args.train:
        parser.error("--opening goes with --data alone, not with --train")
    return args


def batch_sizes(text: str) -> list[int]:
    """Read the numbers of targets of --batch."""
    if not all(part.isdecimal() and int(part) for part in text.split(",")):
        expected = "whole numbers above 0, such as 1,8,32"
        raise argparse.ArgumentTypeError(f"must be {expected}; given: {text!r}")
    return [int(part) for part in text.split(",")]


def choose_modes(args: argparse.Namespace, options: TrackerOptions) -> dict[str, TrackerOptions]:
    """Those of --modes, and the one that --plain, --precision and --compile describe."""
    modes = {name: MODES[name] for name in args.modes}
    switches = ("plain", "precision", "compile", "graph", "calibration")
    asked = TrackerOptions(**{name: getattr(options, name) for name in switches})
    if asked == TrackerOptions():
        return modes
    names = [name for name, mode in MODES.items() if mode == replace(asked, calibration=None)]
    return {**modes, **dict.fromkeys(names or ["as asked"], asked)}


def load_network(options: TrackerOptions) -> AiATrack:
    import torch

    from lib.models.aiatrack.build import build_aiatrack
    from lib.models.aiatrack.prroi_pool import load_cuda_pooling
    from lib.models.aiatrack.weights import load_weights

    torch.manual_seed(0)
    model = build_aiatrack(load_config(options.config))
    if options.checkpoint:
        load_weights(model, options.checkpoint)
    if options.pooling == "cuda":
        model.iou_head.pool = load_cuda_pooling()
    return model


def profile_tracker(args: argparse.Namespace) -> Report:
    args.compile = bool(args.compile)
    options = tracker_options(args, args.dataset)
    params = make_params(load_config(options.config), options.dataset, options.hyper)
    modes = choose_modes(args, options)
    device = choose_device(options.device)
    from lib.tools.profiling import text  # torch, once the modes are right

    if args.batch:
        from lib.tools.profiling.batches import profile_batches

        sizes = (args.batch, args.frames)
        report = profile_batches(load_network(options), params, device, modes, *sizes)
        return show(report, text.describe_batches(report))
    from lib.tools.profiling.tracking import profile_tracking

    report = profile_tracking(load_network(options), params, device, modes, args.frames)
    return show(report, text.describe_tracking(report))


def profile_step(args: argparse.Namespace) -> Report:
    from lib.tools.profiling.text import describe_step
    from lib.tools.profiling.training import profile_training

    device, compiled = choose_device(args.device), args.compile is not False
    sizes = {"batch_size": args.batch_size, "steps": args.steps}
    precision = "off" if args.precision == "fp32" else args.precision
    report = profile_training(args.param, device, compiled=compiled, precision=precision, **sizes)
    return show(report, describe_step(report))


def profile_data(args: argparse.Namespace) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        if args.opening:
            from lib.tools.profiling.data import profile_opening
            from lib.tools.profiling.text import describe_opening

            report: Report = profile_opening(Path(folder), args.opening)
            return show(report, describe_opening(report))
        datasets = open_datasets(args) or [composed_clips(args, Path(folder))]
        return profile_samples(args, dict.fromkeys(datasets, 1.0))


def profile_samples(args: argparse.Namespace, datasets: dict[TrainingSet, float]) -> Report:
    import torch

    from lib.tools.profiling.data import profile_loading
    from lib.tools.profiling.text import describe_loading

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    cfg = Settings(args.param, batch_size=args.batch_size).recipe()
    report = profile_loading(datasets, cfg, args.samples)
    return show(report, describe_loading(report, cfg.TRAIN.BATCH_SIZE))


def profile_limit(args: argparse.Namespace) -> Report:
    """The step, the data, and which of the two limits training."""
    from lib.tools.profiling.data import find_limit
    from lib.tools.profiling.text import describe_limit
    from lib.train.build import open_split

    # What cannot be opened is told before minutes of steps.
    datasets = dict.fromkeys(open_datasets(args), 1.0)
    datasets = datasets or open_split(load_config(args.param), "TRAIN")
    step = profile_step(args)
    print()
    loading = profile_samples(args, datasets)
    limit = find_limit(step, loading, allowed_cores())
    return show({"step": step, "loading": loading, "limit": limit}, describe_limit(limit))


def open_datasets(args: argparse.Namespace) -> list[TrainingSet]:
    return [build_dataset(name, find_data) for name in args.datasets]


def composed_clips(args: argparse.Namespace, folder: Path) -> TrainingSet:
    """Write synthetic clips into a folder and open them as a data set."""
    from lib.tools.profiling.data import write_clips

    print(f"composing clips of {args.width}x{args.height} ...")
    write_clips(folder, clips=6, length=24, height=args.height, width=args.width)
    return build_dataset("GOT10K_val", lambda _: DataPath(folder, "synthetic clips"))


def show(report: Report, lines: Iterable[str]) -> Report:
    """Print what describes a report; returns the report."""
    for line in lines:
        print(line)
    return report


def main() -> int:
    args = parse_arguments()
    check_outputs([args.json] if args.json else [], overwrite=args.overwrite)
    kinds = {(True, False): profile_step, (False, True): profile_data, (True, True): profile_limit}
    report = kinds.get((args.train, args.data), profile_tracker)(args)
    if args.json:
        atomic_write_text(args.json, json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    run_program(main)
