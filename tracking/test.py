"""Run a tracker over a test set.

    python tracking/test.py --dataset otb
    python tracking/test.py --dataset lasot --threads 8
    python tracking/test.py --dataset lasot --batch 16
    python tracking/test.py --dataset otb --seq Crossing,Couple --device cpu

Results go to test/tracking_results/<tracker>/<param>/<dataset>/. Sequences that are finished with
the same weights, recipe, code and device are skipped, so a run that was stopped goes on from there.
Exit status 1 if a sequence failed or is missing.

With --batch N each network tracks N sequences in lock-step. Boxes agree with those one by one
within rounding, so that a whole number of the exchanged files can differ by one here and there; the
results are marked, and those made one by one do not count as finished for such a run, nor the other
way round. The time of a frame is its share of the step. Memory holds frames of N sequences.
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.program import add_ignored, at_least, make_parser, run_program
from lib.cli.progress import progress
from lib.config.aiatrack.config import recipe_name
from lib.test.evaluation import local
from lib.test.evaluation.base_set import TestSet
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.datasets import dataset_key, open_dataset, select_names
from lib.test.evaluation.environment import results_root
from lib.test.evaluation.job import Failure, Job, Summary
from lib.test.evaluation.layouts import LAYOUTS
from lib.test.evaluation.provenance import make_provenance
from lib.test.evaluation.results import ResultFolder
from lib.test.evaluation.running import run_sequences
from lib.test.evaluation.sharing import finish_together, my_share
from lib.test.tracker.arguments import add_tracker_arguments, tracker_options
from lib.tools.video.screen import Screen
from lib.utils.messages import one_line

WITHOUT_MEANING = {
    "--debug": "--show shows the frames",
    "--num_gpus": "the processes of --threads share all visible GPUs",
    "--runid": "--results FOLDER keeps runs apart",
    "--use_visdom": "--show shows the frames",
}


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    add = parser.add_argument
    for dest, names in (("tracker", "aiatrack"), ("param", "recipe, as --param has it")):
        add(dest, nargs="?", default=argparse.SUPPRESS, help=names)
    add("--tracker", "--tracker_name", default="aiatrack", help="aiatrack")
    sets = f"one of {', '.join(LAYOUTS)} (default: otb)"
    named: Any = {"type": dataset_key, "choices": LAYOUTS, "metavar": "NAME"}
    add("--dataset", "--dataset_name", default="otb", help=sets, **named)
    add_tracker_arguments(parser)
    add("--seq", "--sequence", help="only these, by name or index, separated by commas")
    threads_help = "worker processes; 0 tracks in this one"
    add("--threads", type=at_least(0), default=0, help=threads_help)
    batch_help = "sequences that each network tracks in lock-step (default: 1)"
    add("--batch", type=at_least(1), default=1, metavar="N", help=batch_help)
    add("--results", type=Path, help="folder for results (default: test/tracking_results)")
    missing_help = "sequences that are not on disk are no failure"
    add("--allow-missing", action="store_true", help=missing_help)
    add("--show", action="store_true", help="show frames and boxes while tracking (needs a screen)")
    add_ignored(parser, WITHOUT_MEANING)
    args = parser.parse_args()
    if args.tracker != "aiatrack":
        parser.error(f"the tracker is aiatrack; given: {args.tracker}")
    if args.show and args.threads:
        parser.error("--show needs --threads 0")
    if args.show and args.batch > 1:
        parser.error(f"--show shows one sequence at a time: it needs --batch 1, not {args.batch}")
    return args


def load_sequences(
    test_set: TestSet, selection: str | None
) -> tuple[list[Sequence], list[Failure]]:
    """Load this process's share of the chosen sequences, and say which cannot be run."""
    sequences, missing = [], []
    share = my_share(select_names(test_set, selection))
    for name in progress(share, f"opening {test_set.dataset}", unit="sequences"):
        try:
            sequences.append(test_set.load(name))
        except (OSError, ValueError, RuntimeError) as error:
            missing.append(Failure(name, str(error)))
    return sequences, missing


def frame_rate(summary: Summary, batch: int) -> str:
    """Say how many frames were tracked, and how fast."""
    frames = f"{summary.frames} frames"
    if not summary.seconds:
        return frames
    together = f" in batches of {batch}" if batch > 1 else ""
    tracking, all_in_all = (summary.frames / s for s in (summary.seconds, summary.elapsed))
    return f"{frames}, {tracking:.1f} FPS{together}; {all_in_all:.1f} with loading and reading"


def main() -> int:
    """Run; return the exit status."""
    args = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    options = tracker_options(args, args.dataset)
    test_set = open_dataset(args.dataset)
    sequences, missing = load_sequences(test_set, args.seq)
    others = len(select_names(test_set, args.seq)) - len(sequences) - len(missing)
    for failure in missing[:5]:
        print(f"cannot run {failure.sequence}: {one_line(failure.reason, 500)}", file=sys.stderr)
    if len(missing) > 5:
        print(f"... and {len(missing) - 5} more that cannot be run", file=sys.stderr)
    root = args.results or results_root()
    folder = ResultFolder(root, args.tracker, recipe_name(args.param), args.dataset)
    job = Job(options, folder, make_provenance(options, batched=args.batch > 1), args.batch)
    show = args.show or (local.show_result and not args.threads and args.batch == 1)
    on_frame = Screen().show_result if show else None
    summary = run_sequences(sequences, job, args.threads, on_frame)

    print(
        f"{summary.tracked} sequences tracked ({frame_rate(summary, args.batch)}), "
        f"{summary.finished_before} were finished before; results in {folder.path}"
    )
    if others:
        print(f"{others} are left to other processes (RANK and WORLD_SIZE in the environment)")
    failures = [*summary.failures, *([] if args.allow_missing else missing)]
    if failures:
        names = ", ".join(f.sequence for f in failures[:10])
        print(f"{len(failures)} without a result: {names}{', ...' if failures[10:] else ''}")
    finish_together()
    return 1 if failures else 0


if __name__ == "__main__":
    run_program(main)
