"""Run OpenCV's own trackers over a test set, to see what a learned one is worth.

    python tracking/opencv_trackers.py --dataset otb --seq Couple,Crossing,Football1
    python tracking/analysis_results.py --dataset otb --allow-missing --results \\
        test/tracking_results/opencv/{MIL,CSRT,KCF}/otb

Results go to test/tracking_results/opencv/<name>/<dataset>/ and can be scored like any others.
CSRT, KCF and more are in opencv-contrib-python, which takes the place of opencv-python.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2

from lib.cli.program import make_parser, run_program
from lib.test.evaluation.datasets import dataset_key, open_dataset, select_names
from lib.test.evaluation.environment import results_root
from lib.test.evaluation.layouts import LAYOUTS
from lib.test.evaluation.results import ResultFolder
from lib.test.evaluation.tracker import run_sequence
from lib.tools.opencv_trackers import OpenCVTracker, opencv_trackers


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    known = sorted(opencv_trackers())
    add("--trackers", nargs="+", default=known, metavar="NAME", help="(default: %(default)s)")
    add("--dataset", default="otb", type=dataset_key, choices=LAYOUTS, help="(default: otb)")
    add("--seq", help="only these, by name or index, separated by commas")
    add("--results", type=Path, help="folder for results (default: test/tracking_results)")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    test_set = open_dataset(args.dataset)
    sequences = [test_set.load(name) for name in select_names(test_set, args.seq)]
    for tracker in [OpenCVTracker(name) for name in args.trackers]:
        folder = ResultFolder(args.results or results_root(), "opencv", tracker.name, args.dataset)
        for sequence in sequences:
            provenance = {"tracker": tracker.name, "OpenCV": cv2.__version__}
            if folder.is_finished(sequence.name, len(sequence.frames), provenance):
                print(f"{tracker.name:12}{sequence.name:20}finished before")
                continue
            result = run_sequence(tracker, sequence)
            folder.save(sequence.name, result, provenance)
            rate = len(result.seconds) / result.seconds.sum()
            print(f"{tracker.name:12}{sequence.name:20}{rate:8.1f} FPS")
    return 0


if __name__ == "__main__":
    run_program(main)
