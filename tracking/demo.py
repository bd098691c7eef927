"""Track made-up clips and write what one wants to see: a table, a contact sheet, a video.

    python tracking/demo.py

The clips are composed here, written in a real data set's layout and read back like one. Without a
checkpoint the network's weights are random: then this shows that everything runs, not tracking.
"""

import argparse
import logging
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from lib.config.aiatrack.config import load_config
from lib.models.aiatrack.build import build_aiatrack
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.datasets import open_dataset
from lib.test.evaluation.display import draw_box
from lib.test.evaluation.tracker import run_sequence
from lib.test.parameter.aiatrack import find_checkpoint, make_params
from lib.test.tracker import BaseTracker, load_tracker
from lib.test.tracker.aiatrack import AiATrackTracker
from lib.test.tracker.load import choose_device
from lib.test.utils.pictures import write_contact_sheet, write_video
from lib.utils.box_ops import box_iou, xywh_to_xyxy
from lib.utils.compose import ClipOptions, ProceduralTextures, compose_clip
from lib.utils.image import read_rgb
from lib.utils.layouts import WRITERS
from lib.utils.paths import PROJECT_ROOT

TRUTH = (255, 255, 255)
UNTRAINED = (
    "NOTE: there is no checkpoint for this recipe, so the weights are random: the boxes below\n"
    "mean nothing. The demo shows that everything runs; README, 'Weights', says how to get\n"
    "trained ones."
)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--param", default="demo", help="recipe (default: demo)")
    parser.add_argument("--checkpoint", type=Path, help="weights (default: the recipe's, if any)")
    parser.add_argument("--clips", type=int, default=3, help="number of clips (default: 3)")
    parser.add_argument("--frames", type=int, default=60, help="frames of a clip (default: 60)")
    parser.add_argument("--seed", type=int, default=2026, help="of the clips and random weights")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=PROJECT_ROOT / "demo", help="(default: demo/)")
    args = parser.parse_args()
    if args.clips < 1 or args.frames < 2:
        parser.error(f"needs 1 clip and 2 frames or more; given: {args.clips}, {args.frames}")
    return args


def make_tracker(args: argparse.Namespace) -> tuple[BaseTracker, bool]:
    """Load the recipe's tracker; without a checkpoint one with random weights, and False."""
    cfg = load_config(args.param)
    try:
        checkpoint = args.checkpoint or find_checkpoint(cfg, Path(args.param).stem)
    except FileNotFoundError:
        torch.manual_seed(args.seed)
        device = choose_device(args.device)
        model = build_aiatrack(cfg)
        return AiATrackTracker(model, make_params(cfg, "demo"), device), False
    return load_tracker(args.param, checkpoint, "demo", args.device), True


def compose_clips(args: argparse.Namespace) -> list[Sequence]:
    """Write new clips under <out>/clips and open them as the demo test set."""
    root = args.out / "clips"
    options = ClipOptions(length=args.frames)
    names = [f"clip_seed{args.seed}_{i + 1}_{args.frames}" for i in range(args.clips)]
    clips = {
        name: compose_clip(np.random.default_rng((args.seed, i)), ProceduralTextures(), options)
        for i, name in enumerate(names)
        if not (root / "val" / name / "groundtruth.txt").is_file()
    }
    if clips:
        WRITERS["got10k_val"](root, clips)
    os.environ["AIATRACK_DEMO_DIR"] = str(root)
    test_set = open_dataset("demo")
    return [test_set.load(name) for name in names]


def draw(sequence: Sequence, boxes: np.ndarray, scores: np.ndarray) -> list[np.ndarray]:
    """Frames with the true box in white and the tracker's in green with its score."""
    drawn = []
    for path, truth, box, score in zip(
        sequence.frames, sequence.boxes_xywh, boxes, scores, strict=True
    ):
        frame = read_rgb(path)
        if truth[2] > 0:
            frame = draw_box(frame, truth.tolist(), colour=TRUTH)
        drawn.append(draw_box(frame, box.tolist(), score))
    return drawn


def main() -> int:
    """Compose, track, score, draw."""
    args = parse_arguments()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    tracker, trained = make_tracker(args)
    if not trained:
        print(UNTRAINED)
    rows, video = [], []
    print(f"{'clip':24}{'frames':>8}{'mean IoU':>10}{'FPS':>8}")
    for sequence in compose_clips(args):
        result = run_sequence(tracker, sequence)
        truth, boxes = torch.from_numpy(sequence.boxes_xywh), torch.from_numpy(result.boxes_xywh)
        there = truth[:, 2] > 0
        iou = box_iou(xywh_to_xyxy(truth), xywh_to_xyxy(boxes))[0][there].mean().item()
        rate = len(result.seconds) / result.seconds.sum()
        print(f"{sequence.name:24}{len(result.seconds):8}{iou:10.3f}{rate:8.1f}")
        frames = draw(sequence, result.boxes_xywh, result.scores)
        rows.append([frames[i] for i in np.linspace(0, len(frames) - 1, 6).round().astype(int)])
        video += frames
    write_contact_sheet(args.out / "contact_sheet.png", rows)
    write_video(args.out / "demo.mp4", video)
    print(f"white: true box, green: tracked; {args.out}/demo.mp4, {args.out}/contact_sheet.png")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
