"""The command line that `transform_trackingnet.py` and `transform_got10k.py` share."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from lib.test.evaluation.environment import dataset_path, results_root
from lib.test.utils.submission import count_frames, pack
from lib.test.utils.submission_check import Layout, SubmissionError, check

LOGGER = logging.getLogger(__name__)


def main(layout: Layout, arguments: Sequence[str] | None = None) -> int:
    """Pack results or check an archive; report through `logging`.

    Args:
        layout: TRACKINGNET or GOT10K.
        arguments: the command line; None: the program's own.

    Returns:
        The exit status: 1 if something is missing or refused.
    """
    args = _parse(layout, arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    try:
        frames = _test_set(layout, args.data)
        if args.check:
            boxes = check(layout, args.check, frames)
            LOGGER.info("%s is right: %d boxes", args.check, boxes)
        else:
            run = (args.results or results_root()) / args.tracker_name / args.cfg_name
            LOGGER.info("%s is written and checked", pack(layout, run, frames))
    except SubmissionError as error:
        LOGGER.error("%s", f"error: {args.check or 'nothing is written'}:\n{error}")
        return 1
    except OSError as error:
        LOGGER.error("error: %s", error)
        return 1
    return 0


def _parse(layout: Layout, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=f"Pack {layout.title} results into {layout.archive}, for its server. "
        "Everything is validated first; raw results are left as they are."
    )
    add = parser.add_argument
    add("--tracker_name", "--tracker", default="aiatrack", metavar="NAME")
    add("--cfg_name", "--param", default="baseline", metavar="NAME", help="recipe of the run")
    add("--results", type=Path, metavar="DIR", help="all results (default: test/tracking_results)")
    add(
        "--data",
        type=Path,
        metavar="DIR",
        help=f"folder of the data set, to compare lengths with {layout.frames_folder} "
        "(default: as set for the project, if it is there)",
    )
    add("--check", type=Path, metavar="FILE", help="validate an existing archive instead")
    return parser.parse_args(arguments)


def _test_set(layout: Layout, data: Path | None) -> dict[str, int] | None:
    """Sequences and lengths of the test set; None if its images are not here.

    Raises:
        FileNotFoundError: the user named a folder without test images.
    """
    if data is not None:
        return count_frames(layout, data)
    root = dataset_path(layout.dataset).path
    return count_frames(layout, root) if (root / layout.frames_folder).is_dir() else None
