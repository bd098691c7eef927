"""The program that the VOT toolkit starts; `tracking/vot_workspace.py` writes its command line.

It speaks TraX on standard input and output, and so cannot be used by hand. It runs in AiATrack's
environment and needs vot-trax there (`bash tracking/vot_setup.sh`). The published recipes hold no
TEST.HYPER.VOT: TEST.HYPER.DEFAULT is used, unless your recipe has one.
"""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.program import make_parser, run_program
from lib.test.tracker import load_tracker
from lib.test.vot.regions import BOX_OF_MASK
from lib.test.vot.session import REGIONS, Answers, VotSession, import_trax, load_refiner


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--param", default="baseline", help="recipe: a name or a .yaml path")
    add("--checkpoint", help="weights; default: the recipe's under checkpoints/")
    add("--device", default="auto", help="cpu, cuda, cuda:1, ...")
    add("--region", default="rectangle", choices=REGIONS, help="what is answered")
    box_help = "the box that the tracker starts from where a mask is given"
    add("--box-of-mask", default="tight", choices=list(BOX_OF_MASK), help=box_help)
    add("--refiner", metavar="MODULE:FACTORY", help="makes masks of boxes; needs --region mask")
    return parser.parse_args()


def main() -> int:
    """Load, then answer until the toolkit quits."""
    args = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    trax = import_trax()
    refiner = load_refiner(args.refiner) if args.refiner else None
    tracker = load_tracker(args.param, args.checkpoint, "vot", args.device)
    VotSession(tracker, trax, Answers(args.region, args.box_of_mask, refiner)).run()
    return 0


if __name__ == "__main__":
    run_program(main)
