"""Write the bare weights of a checkpoint, with a digest, without optimizer and statistics.

    python tracking/export_weights.py checkpoints/train/aiatrack/demo/AIATRACK_ep0018.pth.tar \\
        experiments/aiatrack/demo.safetensors
"""

from __future__ import annotations

import sys
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


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("checkpoint", type=Path, help="released format, state dict or safetensors")
    parser.add_argument("out", type=Path, help="the file to write, .safetensors")
    parser.add_argument("--half", action="store_true", help="16 bits per number; computed in fp32")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    args = parser.parse_args()
    if args.out.suffix != ".safetensors":
        raise ValueError(f"weights are written as .safetensors; given: {args.out}")
    check_outputs([args.out], [args.checkpoint], overwrite=args.overwrite)
    from lib.checkpoint.files import read_weights, save_weights

    state = read_weights(args.checkpoint)
    save_weights(args.out, in_16_bits(state) if args.half else state)
    print(f"{args.out}: {len(state)} tensors, {args.out.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    run_program(main)
