"""Write the bare weights of a checkpoint, with a digest, without optimizer and statistics.

    python tracking/export_weights.py checkpoints/train/aiatrack/demo/AIATRACK_ep0018.pth.tar \\
        experiments/aiatrack/demo.safetensors

Of several checkpoints it is their mean: that of the last epochs of one training at a constant
learning rate does about what letting the rate fall to 0 does (stochastic weight averaging).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.program import make_parser, run_program
from lib.utils.files import check_outputs


def in_16_bits(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Floating-point tensors in 16 bits; ValueError: a value that they cannot hold."""
    stored = {n: value.half() if value.is_floating_point() else value for n, value in state.items()}
    for name, value in stored.items():
        if not value.isfinite().all():
            largest = state[name].abs().max()
            raise ValueError(f"{name} has values up to {largest:g}, too large for 16 bits")
    return stored


def mean_weights(checkpoints: Sequence[Path]) -> dict[str, Tensor]:
    """Read checkpoints and average them, running statistics too; ValueError if they differ."""
    from lib.checkpoint.files import read_weights

    mean = read_weights(checkpoints[0])
    for count, path in enumerate(checkpoints[1:], 2):
        state = read_weights(path)
        if {n: t.shape for n, t in state.items()} != {n: t.shape for n, t in mean.items()}:
            raise ValueError(f"{path} is of another network than {checkpoints[0]}")
        for name, value in state.items():
            if value.is_floating_point():
                mean[name] = mean[name].lerp(value, 1 / count)
    return mean


def main() -> int:
    parser = make_parser(__doc__)
    files = "released format, state dict or safetensors; several: their mean"
    parser.add_argument("checkpoint", type=Path, nargs="+", help=files)
    parser.add_argument("out", type=Path, help="the file to write, .safetensors")
    parser.add_argument("--half", action="store_true", help="16 bits per number; computed in fp32")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    args = parser.parse_args()
    if args.out.suffix != ".safetensors":
        raise ValueError(f"weights are written as .safetensors; given: {args.out}")
    check_outputs([args.out], args.checkpoint, overwrite=args.overwrite)
    from lib.checkpoint.files import save_weights

    state = mean_weights(args.checkpoint)
    save_weights(args.out, in_16_bits(state) if args.half else state)
    print(f"{args.out}: {len(state)} tensors, {args.out.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    run_program(main)
