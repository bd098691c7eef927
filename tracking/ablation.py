"""The paper's ablation: inner attention in both attentions, in one of them, in none.

    python tracking/ablation.py --config quick --seeds 1 2
    python tracking/ablation.py --config demo -- --channels-last --backbone-weights FILE

Trains every variant with every seed, then tracks clips that no training has seen. A training that
was stopped goes on where it was. The table is printed, and written to <save-dir>/ablation.csv.
"""

import argparse
import csv
import io
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import yaml

from lib.cli.program import at_least, make_parser, run_program
from lib.config.aiatrack.config import find_recipe, load_config, recipe_name
from lib.config.aiatrack.recipe_file import read_recipe
from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.plan import plan_clip
from lib.synthetic.render import render
from lib.synthetic.textures import PhotoTextures
from lib.test.analysis.metrics import SUCCESS_THRESHOLDS, intersection_over_union, share_above
from lib.test.parameter.aiatrack import find_checkpoint
from lib.test.tracker import load_tracker
from lib.utils.files import atomic_write_text
from lib.utils.paths import PROJECT_ROOT

VARIANTS = {  # of MODEL.AIA
    "both": {"USE_AIA": True, "WHERE": "both"},
    "self": {"USE_AIA": True, "WHERE": "self"},
    "cross": {"USE_AIA": True, "WHERE": "cross"},
    "none": {"USE_AIA": False},
}
PHOTOGRAPHS = PROJECT_ROOT / "assets" / "photographs"
SEED = 3000  # of the clips


class VariantResult(NamedTuple):
    variant: str
    seed: int
    auc: float  # percent, mean over clips


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--config", default="quick", help="recipe to vary (default: quick)")
    add("--seeds", nargs="+", type=int, default=[1, 2], help="(default: 1 2)")
    add("--epochs", type=int, help="of each training (default: the recipe's)")
    add("--samples", type=int, help="per epoch (default: the recipe's)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add("--precision", choices=("off", "bf16", "fp16"), default="off", help="of training")
    add("--clips", type=at_least(1), default=40, help="to track (default: 40)")
    add("--save-dir", type=Path, default=PROJECT_ROOT / "ablation", help="(default: ablation/)")
    add("options", nargs="*", help="of train.py, after --")
    return parser.parse_args()


def write_recipe(args: argparse.Namespace, variant: str, seed: int) -> Path:
    """Write the recipe of one training: the one to vary, with another MODEL.AIA."""
    path = find_recipe(args.config)
    recipe = read_recipe(path)
    recipe.setdefault("MODEL", {}).setdefault("AIA", {}).update(VARIANTS[variant])
    for part in ("TRAIN", "TEST") if args.epochs else ():
        recipe.setdefault(part, {})["EPOCH"] = args.epochs
    out = args.save_dir / "recipes" / f"{recipe_name(path)}_{variant}_seed{seed}.yaml"
    atomic_write_text(out, yaml.safe_dump(recipe))
    load_config(out)  # refuses what cannot be before hours are spent
    return out


def train(args: argparse.Namespace, recipe: Path, seed: int) -> Path:
    """Train a recipe unless that is done; return its checkpoint."""
    command = [sys.executable, str(PROJECT_ROOT / "tracking" / "train.py"), "--config", str(recipe)]
    command += ["--save-dir", str(args.save_dir), "--seed", str(seed), "--device", args.device]
    command += ["--precision", args.precision, *args.options]
    command += ["--samples", str(args.samples)] if args.samples else []
    if status := subprocess.run(command, check=False).returncode:  # it has said why
        raise RuntimeError(f"training {recipe_name(recipe)} failed with exit status {status}")
    return find_checkpoint(load_config(recipe), recipe_name(recipe), args.save_dir)


def measure(args: argparse.Namespace, recipe: Path, checkpoint: Path) -> float:
    """Track the clips; return the mean area under their success curves in percent."""
    tracker = load_tracker(recipe, checkpoint, "demo", args.device)
    textures, areas = PhotoTextures(PHOTOGRAPHS), []
    for number in range(args.clips):
        clip = render(plan_clip(np.random.default_rng((SEED, number)), textures, ClipOptions()))
        tracker.initialize(clip.frames[0], clip.boxes_xywh[0])
        boxes = np.array([tracker.track(frame).box for frame in clip.frames[1:]])
        visible = clip.boxes_xywh[1:, 2] > 0
        overlap = intersection_over_union(boxes[visible], clip.boxes_xywh[1:][visible])
        areas.append(share_above(overlap, SUCCESS_THRESHOLDS, len(overlap)).mean())
    return 100 * float(np.mean(areas))


def table(results: list[VariantResult]) -> str:
    """One row per variant: mean, spread and the single seeds."""
    lines = [f"{'AiA in':8}{'AUC':>8}{'+-':>7}  seeds"]
    for variant in VARIANTS:
        aucs = [result.auc for result in results if result.variant == variant]
        spread = np.std(aucs, ddof=1) if len(aucs) > 1 else float("nan")
        singles = ", ".join(f"{auc:.1f}" for auc in aucs)
        lines.append(f"{variant:8}{np.mean(aucs):8.1f}{spread:7.1f}  {singles}")
    return "\n".join(lines)


def main() -> int:
    args = parse_arguments()
    results = []
    for seed in args.seeds:
        for variant in VARIANTS:
            recipe = write_recipe(args, variant, seed)
            auc = measure(args, recipe, train(args, recipe, seed))
            results.append(VariantResult(variant, seed, auc))
            print(f"AiA in {variant}, seed {seed}: AUC {auc:.1f} on {args.clips} clips", flush=True)
    print(table(results))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([VariantResult._fields, *results])
    atomic_write_text(args.save_dir / "ablation.csv", text.getvalue())
    return 0


if __name__ == "__main__":
    run_program(main)
