"""Show where a tracked frame's time goes in several modes, beside what the machine can do.

    python tracking/profile_model.py
    python tracking/profile_model.py --modes plain,optimized,compiled,bf16,int8 --json profile.json
    python tracking/profile_model.py --param quick --device cuda --precision fp16 --compile
    python tracking/profile_model.py --modes optimized --frames 10000      # does memory grow?
    python tracking/profile_model.py --train --param demo                   # the step of training

Weights are random unless --checkpoint names some: they do not change the work. The modes take turns
in one process on a composed video; ratios are medians over frames, to the first mode.
--plain, --precision and --compile add the mode they describe.

--train measures training instead: fp32 against bf16, channels-last, compiled, fused AdamW; and from
it the hours of the whole recipe. --no-compile leaves out compilation, which takes minutes on a CPU.
"""

import argparse
import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from lib.config.aiatrack.config import load_config
from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.prroi_pool import load_cuda_pooling
from lib.models.aiatrack.weights import load_weights
from lib.test.parameter.aiatrack import make_params
from lib.test.tracker.arguments import add_tracker_arguments, tracker_options
from lib.test.tracker.options import TrackerOptions
from lib.tools.profiling import training
from lib.tools.profiling.timers import STAGES
from lib.tools.profiling.tracking import MODES, parse_modes, profile_tracking
from lib.utils.device import choose_device
from lib.utils.files import atomic_write_text
from lib.utils.program import run_program


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_tracker_arguments(parser)
    parser.add_argument("--dataset", default="otb", help="whose number of references to take")
    parser.add_argument(
        "--modes", default="plain,optimized", help=f"of {', '.join(MODES)} (default: the first 2)"
    )
    parser.add_argument("--frames", type=int, default=40, help="frames measured (default: 40)")
    parser.add_argument("--train", action="store_true", help="the training step, not the tracker")
    parser.add_argument("--batch-size", type=int, help="with --train: samples (default: recipe's)")
    parser.add_argument("--steps", type=int, default=10, help="with --train (default: 10)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.set_defaults(compile=None)  # nothing said: not for tracking, but for training
    args = parser.parse_args()
    if args.frames < 1:
        parser.error(f"--frames must be 1 or more; given: {args.frames}")
    return args


def choose_modes(args: argparse.Namespace, options: TrackerOptions) -> dict[str, TrackerOptions]:
    """Those of --modes, and the one that --plain, --precision and --compile describe."""
    modes = parse_modes(args.modes)
    asked = TrackerOptions(
        plain=options.plain,
        precision=options.precision,
        compile=options.compile,
        calibration=options.calibration,
    )
    if asked == TrackerOptions():
        return modes
    names = [name for name, mode in MODES.items() if mode == replace(asked, calibration=None)]
    return {**modes, **dict.fromkeys(names or ["as asked"], asked)}


def load_network(options: TrackerOptions) -> AiATrack:
    """The network, with random weights unless the arguments name a file."""
    torch.manual_seed(0)
    model = build_aiatrack(load_config(options.config))
    if options.checkpoint:
        load_weights(model, Path(options.checkpoint))
    if options.pooling == "cuda":
        model.iou_head.pool = load_cuda_pooling()
    return model


def show(report: dict) -> None:
    """Print the report as a page."""
    print(
        f"{report['device']}, {report['threads']} threads, torch {report['torch']}; "
        f"{report['parameters'] / 1e6:.2f} M parameters, {report['references']} references, "
        f"{report['image'][0]} x {report['image'][1]} video"
    )
    modes = report["modes"]
    print(f"\n{'':10}" + "".join(f"{name:^30}" for name in modes))
    print(f"{'stage':10}" + f"{'GFLOP':>10}{'p50 ms':>10}{'p95 ms':>10}" * len(modes))
    for stage in (*STAGES, "frame"):
        line = f"{stage:10}"
        for name in modes:
            times = report["milliseconds"][name][stage]
            counted = report["GFLOP"].get(name)
            operations = f"{counted.get(stage, 0.0):10.2f}" if counted else f"{'-':>10}"
            line += f"{operations}{times['p50']:10.2f}{times['p95']:10.2f}"
        print(line)
    rows = {
        "FPS": report["FPS"],
        **report["median ratios"],
        "bytes a remembered frame": report["bytes a remembered frame"],
    }
    print(f"\n{'':26}" + "".join(f"{name:>14}" for name in modes))
    for label, values in rows.items():
        print(
            f"{label:26}"
            + "".join(
                f"{values[n]:14.2f}" if isinstance(values[n], float) else f"{values[n]:14}"
                for n in modes
            )
        )
    print(f"\nmatrix product: {report['matrix product GFLOP/s']:.0f} GFLOP/s in fp32")
    if (resident := report["resident memory"])["at the end"] is not None:
        print(
            "memory of the process: "
            + ", ".join(f"{value / 2**20:.0f} MiB {when}" for when, value in resident.items())
        )
    print(f"peak memory: {report['peak memory'] / 2**20:.0f} MiB")


def profile_step(args: argparse.Namespace) -> dict:
    """Profile and show the training step."""
    profile = training.profile_training(
        args.param,
        choose_device(args.device),
        batch_size=args.batch_size,
        steps=args.steps,
        compiled=args.compile is not False,
    )
    print(training.describe(profile))
    return training.report(profile)


def profile_tracker(args: argparse.Namespace) -> dict:
    """Profile and show the tracking of frames."""
    args.compile = bool(args.compile)
    options = tracker_options(args, args.dataset)
    report = profile_tracking(
        load_network(options),
        make_params(load_config(options.config), options.dataset, options.hyper),
        choose_device(options.device),
        choose_modes(args, options),
        args.frames,
    )
    show(report)
    return report


def main() -> int:
    """Profile, print, write."""
    args = parse_arguments()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    report = profile_step(args) if args.train else profile_tracker(args)
    if args.json:
        atomic_write_text(args.json, json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    run_program(main)
