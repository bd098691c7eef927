"""Write the bare weights of a checkpoint, without optimizer and statistics.

    python tracking/export_weights.py checkpoints/train/aiatrack/demo/AIATRACK_ep0018.pth.tar \\
        experiments/aiatrack/demo.safetensors

`--half` stores them in 16 bits, half the size; they are computed with in fp32 all the same.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.utils.checkpoint import read_weights, save_weights
from lib.utils.program import run_program


def main() -> int:
    """Convert; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="released format, state dict or safetensors")
    parser.add_argument("out", type=Path, help="the file to write, .safetensors")
    parser.add_argument("--half", action="store_true", help="16 bits a number")
    args = parser.parse_args()
    state = read_weights(args.checkpoint)
    save_weights(args.out, state, half=args.half)
    print(f"{args.out}: {len(state)} tensors, {args.out.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    run_program(main)
