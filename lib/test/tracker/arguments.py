"""The command-line arguments of every program that makes a tracker."""

import argparse
from dataclasses import fields

from lib.test.parameter.aiatrack import parse_hyper
from lib.test.tracker.options import CHOICES, TrackerOptions


def add_weights_arguments(parser: argparse.ArgumentParser, param: str = "baseline") -> None:
    """Add what chooses the weights, the device and the memory; param: the default recipe."""
    add = parser.add_argument
    recipe = f"recipe: a name or a .yaml path (default: {param})"
    add("--param", "--tracker_param", default=param, help=recipe)
    add("--checkpoint", help="weights; default: the recipe's under checkpoints/")
    add("--device", default="auto", help="cpu, cuda, cuda:1, ...; auto takes a GPU if there is one")
    add("--hyper", help="capacity,ensemble,threshold instead of the recipe's, such as 100,3,0.7")


def add_tracker_arguments(parser: argparse.ArgumentParser, param: str = "baseline") -> None:
    """Add what `add_weights_arguments` adds, and what chooses how the network runs."""
    add_weights_arguments(parser, param)
    add = parser.add_argument
    kernels = "cuda: the kernels that install.sh --cuda builds"
    add("--pooling", default="closed_form", choices=CHOICES["pooling"], help=kernels)
    add("--plain", action="store_true", help="the network as trained, not optimized for speed")
    reduced = "not fp32: faster, other boxes; int8 on CPUs, fp16 on GPUs"
    add("--precision", default="fp32", choices=CHOICES["precision"], help=reduced)
    compiled = "torch.compile; a minute or two the first time (default: no)"
    add("--compile", action=argparse.BooleanOptionalAction, default=False, help=compiled)
    add("--graph", action="store_true", help="a frame as one CUDA graph; not run on a GPU yet")
    add("--calibration", metavar="FOLDER", help="images for int8 to find its scales on")
    exported = "onnx: the files that tracking/export_onnx.py writes, in ONNX Runtime"
    add("--backend", default="torch", choices=CHOICES["backend"], help=exported)
    folder = "those files (default: checkpoints/onnx/aiatrack/<param>)"
    add("--onnx", metavar="FOLDER", help=folder)


def tracker_options(args: argparse.Namespace, dataset: str) -> TrackerOptions:
    """Read the arguments of `add_tracker_arguments`; dataset: whose hyper-parameters to use.

    Raises:
        ValueError: --hyper is not three numbers; options that do not go together.
    """
    names = {field.name for field in fields(TrackerOptions)}
    options = {name: value for name, value in vars(args).items() if name in names}
    options |= {"config": args.param, "dataset": dataset, "hyper": parse_hyper(args.hyper)}
    return TrackerOptions(**options)
