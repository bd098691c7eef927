"""Measure below which score a target is lost, on existing results.

    python tracking/test.py --param demo --dataset demo
    python tracking/measure_lost.py --param demo --dataset demo

prints, for some thresholds and the best one, how many lost frames are below it and how many
followed ones are not; lost: hidden, or an overlap of 0.1 or less. Use the best one as --lost-below
of video_demo.py (docs/videos.md). Exit status 1 if a sequence had to be left out.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.program import make_parser, run_program
from lib.config.aiatrack.config import recipe_name
from lib.test.analysis.lost import best_threshold, evaluate_thresholds, read_frames
from lib.test.analysis.report import annotation_root
from lib.test.evaluation.datasets import SCORED, dataset_key, open_annotations
from lib.test.evaluation.environment import results_root
from lib.test.evaluation.results import find_results
from lib.utils.messages import list_problems

PRINTED = [k / 20 for k in range(2, 19)]


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--dataset", required=True, type=dataset_key, choices=SCORED, help="the test set")
    add("--tracker", default="aiatrack", help="(default: aiatrack)")
    add("--param", default="baseline", help="recipe (default: baseline)")
    add("--results", type=Path, metavar="DIR", help="of all runs (default: test/tracking_results)")
    add("--annotations", type=Path, metavar="DIR", help="the data set's folder")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    annotations = open_annotations(args.dataset, annotation_root(args.dataset, args.annotations))
    base = (args.results or results_root()) / args.tracker / recipe_name(args.param)
    folder = find_results(base, args.dataset, annotations.names)
    if folder is None:
        raise FileNotFoundError(f"no results of {args.dataset} in {base}; run tracking/test.py")
    frames, problems = read_frames(annotations, folder)
    if problems:
        print(f"left out:\n{list_problems(problems)}", file=sys.stderr)
    thresholds = evaluate_thresholds(frames)
    lost = int(frames.lost.sum())
    print(f"{len(frames.lost)} frames, {lost} of them lost; results of {folder}\n")
    print("score below   lost found   followed kept   balanced")
    for item in (*evaluate_thresholds(frames, PRINTED), chosen := best_threshold(thresholds)):
        mark = "  <- best" if item is chosen else ""
        shares = f"{item.found:12.3f} {item.kept:15.3f} {item.balanced:10.3f}"
        print(f"{item.value:11.2f} {shares}{mark}")
    return 1 if problems else 0


if __name__ == "__main__":
    run_program(main)
