"""Write the bare weights of a checkpoint, without optimizer and statistics.

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

from lib.utils.files import atomic_path
from lib.utils.program import make_parser, run_program


def save_weights(path: Path, state: dict[str, Tensor], *, half: bool = False) -> None:
    """Write a state dict as safetensors, floating-point tensors in 16 bits if `half`.

    ValueError: a value that 16 bits cannot hold.
    """
    import torch
    from safetensors.torch import save_file

    stored = {}
    for name, value in state.items():
        stored[name] = value.half() if half and value.is_floating_point() else value
        if not torch.equal(stored[name].isfinite(), value.isfinite()):
            largest = value.abs().max()
            raise ValueError(f"{name} has values up to {largest:g}, too large for 16 bits")
    with atomic_path(path) as temporary:
        save_file({name: value.contiguous() for name, value in stored.items()}, temporary)


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("checkpoint", type=Path, help="released format, state dict or safetensors")
    parser.add_argument("out", type=Path, help="the file to write, .safetensors")
    parser.add_argument("--half", action="store_true", help="16 bits per number; computed in fp32")
    args = parser.parse_args()
    if args.out.suffix != ".safetensors":
        raise ValueError(f"weights are written as .safetensors; given: {args.out}")
    from lib.utils.checkpoint import read_weights

    state = read_weights(args.checkpoint)
    save_weights(args.out, state, half=args.half)
    print(f"{args.out}: {len(state)} tensors, {args.out.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    run_program(main)
