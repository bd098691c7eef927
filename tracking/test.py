"""Run a tracker over a test set.

    python tracking/test.py --dataset otb
    python tracking/test.py --dataset lasot --threads 8
    python tracking/test.py --dataset otb --seq Crossing,Couple --device cpu

Results go to test/tracking_results/<tracker>/<param>/<dataset>/. Sequences that are finished with
the same weights, recipe, code and device are skipped, so a run that was stopped goes on from there.
Exit status 1 if a sequence failed or is missing.
"""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.test.evaluation import local
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.datasets import LAYOUTS, TestSet, open_dataset, select_names
from lib.test.evaluation.display import Display
from lib.test.evaluation.environment import results_root
from lib.test.evaluation.progress import Failure
from lib.test.evaluation.provenance import make_provenance
from lib.test.evaluation.results import ResultFolder
from lib.test.evaluation.running import Job, run_sequences
from lib.test.evaluation.sharing import finish_together, my_share
from lib.test.parameter.aiatrack import parse_hyper
from lib.test.tracker.load import TrackerSpec


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--tracker", "--tracker_name", default="aiatrack", choices=["aiatrack"])
    add("--param", "--tracker_param", default="baseline", help="recipe: a name or a .yaml path")
    add("--dataset", "--dataset_name", default="otb", choices=list(LAYOUTS), metavar="NAME",
        help=f"one of {', '.join(LAYOUTS)} (default: otb)")  # fmt: skip
    add("--seq", "--sequence", help="only these, by name or index, separated by commas")
    add("--threads", type=int, default=0, help="worker processes; 0 tracks in this one")
    add("--device", default="auto", help="cpu, cuda, cuda:1, ...; auto takes GPUs if there are any")
    add("--checkpoint", help="weights; default: the recipe's under checkpoints/")
    add("--hyper", help="capacity,ensemble,threshold instead of the recipe's, such as 100,3,0.7")
    add("--pooling", default="closed_form", choices=["closed_form", "cuda"],
        help="cuda: the kernels that install.sh --cuda builds")  # fmt: skip
    add("--plain", action="store_true", help="the network as trained, not rearranged for speed")
    add("--results", type=Path, help="folder for results (default: test/tracking_results)")
    add(
        "--allow-missing", action="store_true", help="sequences that are not on disk are no failure"
    )
    add("--show", action="store_true", help="show frames and boxes while tracking (needs a screen)")
    args = parser.parse_args()
    if args.threads < 0:
        parser.error(f"--threads must be 0 or more; given: {args.threads}")
    if args.show and args.threads:
        parser.error("--show needs --threads 0")
    return args


def load_sequences(test_set: TestSet, wanted: str | None) -> tuple[list[Sequence], list[Failure]]:
    """Load this process's share of the chosen sequences, and say which cannot be run."""
    sequences, missing = [], []
    for name in my_share(select_names(test_set, wanted)):
        try:
            sequences.append(test_set.load(name))
        except (OSError, ValueError, RuntimeError) as error:
            missing.append(Failure(name, str(error)))
    return sequences, missing


def main() -> int:
    """Run; return the exit status."""
    args = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    spec = TrackerSpec(
        *(args.param, args.checkpoint, args.dataset, args.device),
        *(parse_hyper(args.hyper), args.pooling, args.plain),
    )
    sequences, missing = load_sequences(open_dataset(args.dataset), args.seq)
    for failure in missing[:5]:
        print(f"cannot run {failure.sequence}: {failure.reason}", file=sys.stderr)
    if len(missing) > 5:
        print(f"... and {len(missing) - 5} more that cannot be run", file=sys.stderr)
    root = args.results or results_root()
    folder = ResultFolder(root, args.tracker, Path(args.param).stem, args.dataset)
    job = Job(spec, folder, make_provenance(spec))
    show = args.show or (local.show_result and not args.threads)
    with Display(enabled=show) as display:
        summary = run_sequences(sequences, job, args.threads, display.frame if show else None)

    rate = f", {summary.frames / summary.seconds:.1f} FPS" if summary.seconds else ""
    print(
        f"{summary.tracked} sequences tracked ({summary.frames} frames{rate}), "
        f"{summary.finished_before} were finished before; results in {folder.path}"
    )
    failures = [*summary.failures, *([] if args.allow_missing else missing)]
    if failures:
        names = ", ".join(f.sequence for f in failures[:10])
        print(f"{len(failures)} without a result: {names}{', ...' if failures[10:] else ''}")
    finish_together()
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
