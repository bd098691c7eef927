"""Show where time goes: of a tracked frame in several modes, of a training step, of loading data.

    python tracking/profile_model.py
    python tracking/profile_model.py --modes plain,optimized,compiled,bf16,int8 --json profile.json
    python tracking/profile_model.py --param quick --device cuda --precision fp16 --compile
    python tracking/profile_model.py --modes optimized --frames 10000      # does memory grow?
    python tracking/profile_model.py --train --param demo
    python tracking/profile_model.py --data --datasets LASOT COCO17

Weights are random unless --checkpoint names some: they do not change the work. The modes take turns
in one process on a synthetic video; ratios are medians over frames, to the first mode.
--plain, --precision and --compile add the mode they describe.

--train: the step plain, as by default, and in bf16, channels-last, compiled; hours of the whole
recipe, and the operators that take longest. --precision bf16 compares the first two in bf16;
--no-compile leaves out compilation, which takes minutes on a CPU. --data: how fast samples load on
one core, and where that time goes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2

from lib.config.aiatrack.config import load_config
from lib.test.evaluation.datasets import dataset_key
from lib.test.parameter.aiatrack import make_params
from lib.test.tracker.arguments import add_tracker_arguments, tracker_options
from lib.test.tracker.options import TrackerOptions
from lib.tools.profiling.modes import MODES
from lib.train.admin.environment import find_data
from lib.train.dataset import BaseDataset, build_dataset
from lib.utils.device import choose_device
from lib.utils.files import atomic_write_text, check_outputs
from lib.utils.image import jpeg_decoder
from lib.utils.paths import DataPath
from lib.utils.program import at_least, make_parser, run_program

if TYPE_CHECKING:
    from lib.models.aiatrack.aiatrack import AiATrack

Report = dict[str, Any]


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add_tracker_arguments(parser)
    parser.set_defaults(compile=None)  # not given: off for tracking, on for training
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--overwrite", action="store_true", help="replace that file if it exists")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--train", action="store_true", help="the training step, not the tracker")
    kind.add_argument("--data", action="store_true", help="training data, not the tracker")

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
    add("--datasets", nargs="+", default=[], help="your data sets (default: synthetic clips)")
    add("--height", type=int, default=720, help="of synthetic frames, pixels")
    add("--width", type=int, default=1280, help="of synthetic frames, pixels")
    add("--opening", type=int, metavar="N", help="how fast N synthetic sequences open, instead")
    args = parser.parse_args()
    args.modes = args.modes.split(",")
    if unknown := [name for name in args.modes if name not in MODES]:
        parser.error(f"--modes knows {', '.join(MODES)}; given: {', '.join(unknown)}")
    return args


def batch_sizes(text: str) -> list[int]:
    """Read the numbers of targets of --batch."""
    if not all(part.isdecimal() and int(part) for part in text.split(",")):
        expected = "whole numbers above 0, such as 1,8,32"
        raise argparse.ArgumentTypeError(f"must be {expected}; given: {text!r}")
    return [int(part) for part in text.split(",")]


def table(*rows: Sequence[object]) -> str:
    """Lay out rows: the first column on the left, the others on the right."""
    cells = [[f"{v:.2f}" if isinstance(v, float) else str(v) for v in row] for row in rows]
    first, *widths = (max(map(len, column)) for column in zip(*cells, strict=True))
    return "\n".join(
        row[0].ljust(first)
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths, strict=True))
        for row in cells
    )


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
    if args.batch:
        from lib.tools.profiling.batches import profile_batches

        sizes = (args.batch, args.frames)
        report = profile_batches(load_network(options), params, device, modes, *sizes)
        show_batches(report)
        return report
    from lib.tools.profiling.tracking import profile_tracking  # torch, once the modes are right

    report = profile_tracking(load_network(options), params, device, modes, args.frames)
    show_tracking(report)
    return report


def show_tracking(report: Report) -> None:
    from lib.tools.profiling.timers import STAGES

    print(
        f"{report['device']}, {report['threads']} threads, torch {report['torch']}; "
        f"{report['parameters'] / 1e6:.2f} M parameters, {report['references']} references, "
        f"{report['image'][0]} x {report['image'][1]} video\n"
    )
    modes: list[str] = report["modes"]
    rows: list[list[object]] = [["", *(cell for name in modes for cell in ("", name, ""))]]
    rows.append(["stage", *("GFLOP", "p50 ms", "p95 ms") * len(modes)])
    for stage in (*STAGES, "frame"):
        rows.append([stage])
        for name in modes:
            operations = report["GFLOP"][name].get(stage, 0.0) if name in report["GFLOP"] else "-"
            rows[-1] += [operations, *report["milliseconds"][name][stage].values()]
    print(table(*rows) + "\n")
    figures = {"FPS": report["FPS"], **report["median ratios"]}
    figures["bytes per memorized frame"] = report["bytes per memorized frame"]
    print(table(["", *modes], *([key, *values.values()] for key, values in figures.items())))
    print(f"\nmatrix product: {report['matrix product GFLOP/s']:.0f} GFLOP/s in fp32")
    resident = (f"{v / 2**20:.0f} MiB {when}" for when, v in report["resident memory"].items())
    print(f"memory of the process: {', '.join(resident)}")
    print(f"peak memory: {report['peak memory'] / 2**20:.0f} MiB")


def show_batches(report: Report) -> None:
    ceilings, gflop = report["ceilings"], report["GFLOP"]
    rows: list[list[object]] = [["mode", "targets", *("p50 ms", "p95 ms", "frames/s") * 2, "share"]]
    for row in report["rows"]:
        rows.append([row["mode"], row["size"]])
        for part in (row["network"], row["with crops"]):
            rows[-1] += [*part.values(), round(1e3 * row["size"] / part["p50"])]
        rate = gflop * row["size"] / row["network"]["p50"] * 1e3  # GFLOP/s of the plain network
        ceiling = ceilings["fp32" if row["precision"] == "fp32" else "bf16"]
        rows[-1].append(f"{rate / ceiling:.0%}")
    print(f"{ceilings['device']}: the network alone, then with crops, transfers and memory; share:")
    print("of the matrix product's rate, by the operations of the network as trained\n")
    print(table(*rows) + "\n")
    rates = (f"{name} {ceilings[name] / 1e3:.2f} TFLOP/s" for name in ("fp32", "bf16"))
    print(f"ceilings: copy {ceilings['copy GB/s']:.1f} GB/s; matrix product {', '.join(rates)}\n")
    for name, times in report["pooling"].items():
        text = times
        if not isinstance(times, str):
            text = ", ".join(f"{time:.3f} ms for {size}" for size, time in times.items())
        print(f"pooling, {name}: {text}")


def profile_step(args: argparse.Namespace) -> Report:
    from lib.tools.profiling.training import profile_training

    device, compiled = choose_device(args.device), args.compile is not False
    sizes = {"batch_size": args.batch_size, "steps": args.steps}
    precision = "off" if args.precision == "fp32" else args.precision
    report = profile_training(args.param, device, compiled=compiled, precision=precision, **sizes)
    print(
        f"{report['device']}, {report['threads']} threads, torch {report['torch']}; batches of "
        f"{report['batch_size']}, {report['steps']} steps of each kind; the whole recipe, "
        f"{report['epochs']} epochs of {report['samples']} samples, on one such device\n"
    )
    rows: list[list[object]] = []
    kinds = {name: report[name] for name in ("plain", "default", "fast") if name in report}
    for name, kind in kinds.items():
        times = [kind["samples_per_second"], kind["seconds"] * 1e3, kind["first_seconds"]]
        memory, settings = round(kind["memory"] / 2**20), f"{name}: {kind['settings']}"
        rows.append([settings, *times, memory, kind["recipe_hours"], kind["speedup"]])
    heads = ["step", "samples/s", "ms", "first s", "peak MiB", "recipe hours", "times plain"]
    print(table(heads, *rows))
    for name, kind in kinds.items():
        print()
        rows = [
            [op["name"], op["seconds"] * 1e3, f"{op['share']:.1%}", op["calls"]]
            for op in kind["operators"]
        ]
        print(table([f"{name}: operator", "ms", "share", "calls"], *rows))
    return report


def profile_data(args: argparse.Namespace) -> Report:
    import torch

    from lib.tools.profiling.data import profile_loading, profile_opening

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if args.opening:
            report: Report = profile_opening(Path(folder), args.opening)
            print(f"{report['sequences']} sequences, {report['boxes']} boxes, in the file cache")
            print(f"first opening (annotations parsed)  {report['first']:8.2f} s")
            print(f"second opening (from the index)     {report['second']:8.2f} s")
        else:
            cfg = load_config(args.param)
            report = profile_loading(open_datasets(args, Path(folder)), cfg, args.samples)
            show_loading(report, cfg.TRAIN.BATCH_SIZE)
    return report


def open_datasets(args: argparse.Namespace, folder: Path) -> list[BaseDataset]:
    """Open the data sets asked for, or write synthetic clips into a folder."""
    datasets = [build_dataset(name, find_data) for name in args.datasets]
    if not datasets:
        from lib.tools.profiling.data import write_clips

        print(f"composing clips of {args.width}x{args.height} ...")
        write_clips(folder, clips=6, length=24, height=args.height, width=args.width)
        datasets = [build_dataset("GOT10K_val", lambda _: DataPath(folder, "synthetic clips"))]
    files = [dataset for dataset in datasets if isinstance(dataset, BaseDataset)]
    if len(files) < len(datasets):
        raise ValueError("synthetic clips have no files to read")
    return files


def show_loading(report: Report, batch_size: int) -> None:
    samples, kilobytes = report["samples"], report["bytes"] / report["images"] / 1024
    print(f"{samples} samples, {report['images']:.0f} images of {kilobytes:.0f} KiB on average")
    print(f"JPEG decoder {jpeg_decoder()}, OpenCV {cv2.__version__}, one core")
    rate, by_the_clock = samples / report["total"], samples / report["clock"]
    print(f"{rate:.1f} samples/s of the processor's time ({by_the_clock:.1f} by the clock)\n")
    rows: list[list[object]] = [["part", "ms per sample", "share"]]
    for part in ("reading", "decoding", "making", "assembly"):
        rows.append([part, 1e3 * report[part] / samples, f"{report[part] / report['total']:.1%}"])
    print(table(*rows))
    unpacking = 1e3 * report["unpacking"] / samples
    print(f"\nunpacking, in the training process on a CPU: {unpacking:.2f} ms per sample")
    first = f"first batch of {batch_size} from one worker: {report['first_batch']:.2f} s"
    print(f"{first} with its start, {report['later_batch']:.2f} s later")


def main() -> int:
    args = parse_arguments()
    check_outputs([args.json] if args.json else [], overwrite=args.overwrite)
    profile = profile_step if args.train else profile_data if args.data else profile_tracker
    report = profile(args)
    if args.json:
        atomic_write_text(args.json, json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    run_program(main)
