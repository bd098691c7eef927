"""Make AiATrack known to the VOT toolkit.

    bash tracking/vot_setup.sh
    python tracking/vot_workspace.py --registry DIR
    .venv-vot/bin/vot --registry DIR test aiatrack

writes DIR/trackers.ini, which starts this checkout with this Python. DIR may be a workspace, made
by `vot initialize vot2020/shortterm --workspace DIR` or, of two synthetic clips and without any
download, by --local-stack:

    python tracking/vot_workspace.py --registry DIR --local-stack
    .venv-vot/bin/vot evaluate --workspace DIR aiatrack
    .venv-vot/bin/vot analysis --workspace DIR aiatrack
    .venv-vot/bin/vot report --workspace DIR aiatrack
"""

import argparse
import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.program import make_parser, run_program
from lib.config.aiatrack.config import load_config, recipe_name
from lib.test.parameter.aiatrack import find_checkpoint
from lib.test.vot.regions import BOX_OF_MASK
from lib.test.vot.session import REGIONS
from lib.test.vot.workspace import write_local_stack, write_registry

PROGRAM = Path(__file__).resolve().with_name("vot_tracker.py")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--registry", type=Path, required=True, metavar="DIR", help="folder for trackers.ini")
    add("--param", default="baseline", help="recipe: a name or a .yaml path")
    add("--checkpoint", type=Path, help="weights; default: the recipe's under checkpoints/")
    add("--device", default="auto", help="cpu, cuda, cuda:1, ...")
    add("--region", default="rectangle", choices=REGIONS, help="what the tracker answers")
    box_help = "the box that the tracker starts from where a mask is given"
    add("--box-of-mask", default="tight", choices=list(BOX_OF_MASK), help=box_help)
    add(
        "--refiner",
        metavar="MODULE:FACTORY",
        help="with --region mask: makes masks of boxes (lib/test/vot/session.py: MaskRefiner); "
        "without it boxes are filled",
    )
    add("--label", default="AiATrack", help="name in the toolkit's tables")
    add("--local-stack", action="store_true", help="make DIR a workspace of synthetic clips too")
    args = parser.parse_args()
    if args.refiner and args.region != "mask":
        parser.error("--refiner needs --region mask")
    return args


def make_command(args: argparse.Namespace) -> list[str]:
    """The tracker's command line; every path is absolute, as it is run elsewhere.

    Raises:
        FileNotFoundError, ConfigError: no such recipe or checkpoint.
    """
    config = load_config(args.param)
    checkpoint = args.checkpoint or find_checkpoint(config, recipe_name(args.param))
    if not checkpoint.is_file():
        raise FileNotFoundError(f"no checkpoint at {checkpoint}")
    is_file = args.param.endswith((".yaml", ".yml"))
    options = {
        "--device": args.device,
        "--param": str(Path(args.param).resolve()) if is_file else args.param,
        "--checkpoint": str(checkpoint.resolve()),
        "--region": args.region,
        "--box-of-mask": args.box_of_mask,
        "--refiner": args.refiner,
    }
    pairs = (pair for pair in options.items() if pair[1])
    return [sys.executable, str(PROGRAM), *itertools.chain.from_iterable(pairs)]


def main() -> int:
    """Write what is asked for; say how to go on."""
    args = parse_arguments()
    command = make_command(args)
    if args.local_stack:
        write_local_stack(args.registry)
    path = write_registry(args.registry, command, args.label)
    print(f"{path} is written; next: vot --registry {args.registry} test aiatrack")
    if args.local_stack:
        print(f"and: vot evaluate --workspace {args.registry} aiatrack")
    return 0


if __name__ == "__main__":
    run_program(main)
