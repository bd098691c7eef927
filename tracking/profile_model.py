"""Show where a tracked frame's time goes, beside what the machine can do.

    python tracking/profile_model.py
    python tracking/profile_model.py --param demo --device cuda --json profile.json

Weights are random: they do not change the work. The plain network and the one rearranged for speed
take turns in one process; ratios are medians over frames.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from lib.config.aiatrack.config import load_config
from lib.models.aiatrack.build import build_aiatrack
from lib.test.parameter.aiatrack import make_params
from lib.test.tracker.load import choose_device
from lib.test.utils.profiling import STAGES, profile_tracking
from lib.utils.files import atomic_write_text


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--param", default="baseline", help="recipe: a name or a .yaml path")
    parser.add_argument("--dataset", default="otb", help="whose number of references to take")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--frames", type=int, default=40, help="frames measured (default: 40)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    args = parser.parse_args()
    if args.frames < 1:
        parser.error(f"--frames must be 1 or more; given: {args.frames}")
    return args


def show(report: dict) -> None:
    """Print the report as a page."""
    print(
        f"{report['device']}, {report['threads']} threads, torch {report['torch']}; "
        f"{report['parameters'] / 1e6:.2f} M parameters, {report['references']} references, "
        f"{report['image'][0]} x {report['image'][1]} images"
    )
    print(f"\n{'':10}{'plain':^30}{'rearranged':^30}")
    print(f"{'stage':10}" + f"{'GFLOP':>10}{'p50 ms':>10}{'p95 ms':>10}" * 2)
    for stage in (*STAGES, "frame"):
        line = f"{stage:10}"
        for name in ("plain", "rearranged"):
            times = report["milliseconds"][name][stage]
            operations = report["GFLOP"][name].get(stage, 0.0)
            line += f"{operations:10.2f}{times['p50']:10.2f}{times['p95']:10.2f}"
        print(line)
    rates = report["FPS"]
    print(f"\nFPS: {rates['plain']:.1f} plain, {rates['rearranged']:.1f} rearranged")
    print(f"matrix product: {report['matrix product GFLOP/s']:.0f} GFLOP/s in fp32")
    for name, ratio in report["median ratios"].items():
        print(f"{name}: {ratio:.2f}")
    print(f"a remembered frame: {report['bytes a remembered frame']} bytes")
    print(f"peak memory: {report['peak memory'] / 2**20:.0f} MiB")


def main() -> int:
    """Profile, print, write."""
    args = parse_arguments()
    cfg = load_config(args.param)
    torch.manual_seed(0)
    report = profile_tracking(
        build_aiatrack(cfg), make_params(cfg, args.dataset), choose_device(args.device), args.frames
    )
    show(report)
    if args.json:
        atomic_write_text(args.json, json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
