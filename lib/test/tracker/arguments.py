"""The command-line arguments of every program that makes a tracker, and what they come to.

add_tracker_arguments(parser)
spec = tracker_spec(parser.parse_args(), "otb")
"""

import argparse

from lib.test.parameter.aiatrack import parse_hyper
from lib.test.tracker.load import TrackerSpec
from lib.test.tracker.modes import PRECISIONS


def add_tracker_arguments(parser: argparse.ArgumentParser, param: str = "baseline") -> None:
    """Add what chooses the weights, the device and the way the network runs.

    Args:
        param: the recipe without --param.
    """
    add = parser.add_argument
    add("--param", "--tracker_param", default=param,
        help=f"recipe: a name or a .yaml path (default: {param})")  # fmt: skip
    add("--checkpoint", help="weights; default: the recipe's under checkpoints/")
    add("--device", default="auto", help="cpu, cuda, cuda:1, ...; auto takes a GPU if there is one")
    add("--hyper", help="capacity,ensemble,threshold instead of the recipe's, such as 100,3,0.7")
    add("--pooling", default="closed_form", choices=["closed_form", "cuda"],
        help="cuda: the kernels that install.sh --cuda builds")  # fmt: skip
    add("--plain", action="store_true", help="the network as trained, not optimized for speed")
    add("--precision", default="fp32", choices=PRECISIONS,
        help="not fp32: faster, other boxes; int8 on CPUs, fp16 on GPUs")  # fmt: skip
    add("--compile", action=argparse.BooleanOptionalAction, default=False,
        help="torch.compile; a minute or two the first time (default: no)")  # fmt: skip
    add("--calibration", metavar="FOLDER", help="images for int8 to find its scales on")
    add("--backend", default="torch", choices=["torch", "onnx"],
        help="onnx: the files that tracking/export_onnx.py writes, in ONNX Runtime")  # fmt: skip
    add("--onnx", metavar="FOLDER",
        help="those files (default: checkpoints/onnx/aiatrack/<param>)")  # fmt: skip


def tracker_spec(args: argparse.Namespace, dataset: str) -> TrackerSpec:
    """Read the arguments.

    Args:
        args: parsed, of `add_tracker_arguments`.
        dataset: whose hyper-parameters to use.

    Raises:
        ValueError: --hyper is not three numbers.
    """
    return TrackerSpec(
        *(args.param, args.checkpoint, dataset, args.device),
        *(parse_hyper(args.hyper), args.pooling, args.plain),
        *(args.precision, args.compile, args.calibration),
        *(args.backend, args.onnx),
    )
