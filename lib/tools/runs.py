"""Which runs a command line names: folders of results, or trackers and recipes below one folder."""

import argparse
from functools import partial
from pathlib import Path

from lib.config.aiatrack.config import recipe_name
from lib.test.analysis.extract_results import Run
from lib.test.evaluation.environment import results_root

TRACKER, PARAM = "aiatrack", "baseline"


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `make_runs` reads."""
    add_names = partial(parser.add_argument, nargs="+", metavar="NAME")
    add_names("--tracker", "--tracker_name", help="default: aiatrack")
    add_names("--param", "--tracker_param", help="recipes, one per run (default: baseline)")
    add_names("--display", help="names for tables and pictures, one per run")
    results = "folders of result files, one per run; or, with --tracker or --param, the folder of"
    results += " all results (default: test/tracking_results)"
    parser.add_argument("--results", nargs="+", metavar="DIR", type=Path, help=results)


def make_runs(args: argparse.Namespace) -> list[Run]:
    """The runs that the command line names, and the folders to try for each."""
    folders: list[tuple[Path, ...]]
    if args.results and not (args.tracker or args.param):
        # A folder of result files, or one of all results.
        folders = [(folder / TRACKER / PARAM, folder) for folder in args.results]
        stems = [folder.resolve().name for folder in args.results]
        names = stems if len(set(stems)) == len(stems) else [str(path) for path in args.results]
    else:
        pairs = pair_up(args.tracker or [TRACKER], args.param or [PARAM])
        if args.results and len(args.results) > 1:
            raise ValueError("with --tracker or --param, --results takes one folder")
        root = args.results[0] if args.results else results_root()
        folders = [(root / tracker / recipe_name(param),) for tracker, param in pairs]
        names = [f"{tracker} {recipe_name(param)}" for tracker, param in pairs]
    if args.display and len(args.display) != len(names):
        raise ValueError(f"{len(args.display)} names of --display for {len(names)} runs")
    return [Run(*pair) for pair in zip(args.display or names, folders, strict=True)]


def pair_up(trackers: list[str], params: list[str]) -> list[tuple[str, str]]:
    """Trackers with recipes, one by one; a single one goes with all of the other."""
    count = max(len(trackers), len(params))
    if {len(trackers), len(params)} - {1, count}:
        raise ValueError(f"{len(trackers)} of --tracker do not pair with {len(params)} of --param")
    trackers, params = [x * count if len(x) == 1 else x for x in (trackers, params)]
    return list(zip(trackers, params, strict=True))
