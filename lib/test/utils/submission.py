"""Archives of results for the TrackingNet and GOT-10k servers: all is validated, then written.

Results are only read. `submission_check.py` holds what the servers accept;
`transform_trackingnet.py` and `transform_got10k.py` are the programs, `main` what they share.
"""

import argparse
import logging
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lib.cli.program import make_parser
from lib.config.aiatrack.config import recipe_name
from lib.io.listing import list_folder
from lib.io.load_text import load_boxes, load_column
from lib.test.evaluation.data import LARGEST
from lib.test.evaluation.environment import dataset_path, results_root
from lib.test.evaluation.results import OFFICIAL_FOLDERS, box_file, time_file, verified
from lib.test.utils.submission_check import GOT10K, Layout, SubmissionError, check
from lib.utils.files import atomic_path
from lib.utils.messages import list_problems

logger = logging.getLogger(__name__)
ZIP_DATE = (2022, 1, 1, 0, 0, 0)  # fixed: the same results give the same bytes


def main(layout: Layout, arguments: Sequence[str] | None = None) -> int:
    """Write the archive of a run or check an archive, as the command line says (None: sys.argv).

    Reports through `logging`; returns the exit status, 1 if something is missing or refused.
    """
    args = _parse(layout, arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    try:
        frames = _test_set(layout, args.data)
        if args.check:
            logger.info("%s is right: %d boxes", args.check, check(layout, args.check, frames))
        else:
            run = (args.results or results_root()) / args.tracker_name / recipe_name(args.cfg_name)
            logger.info("%s is written and checked", write_archive(layout, run, frames))
    except SubmissionError as error:
        problems = list_problems(str(error).splitlines())
        logger.error("error: %s:\n%s", args.check or "nothing is written", problems)
        return 1
    except OSError as error:
        logger.error("error: %s", error)
        return 1
    return 0


def write_archive(layout: Layout, results: Path, frames: Mapping[str, int] | None) -> Path:
    """Write the archive of a run beside its results, check it and return its path.

    Args:
        results: `<results>/<tracker>/<config>`; the archive goes here.
        frames: the test set's sequences and their lengths, from `count_frames`; None: its images
            are not on disk, the official counts decide.

    Raises:
        FileNotFoundError: there is no result folder.
        SubmissionError: a sequence is missing or wrong; nothing is written, names every problem.
    """
    folders = [results / name for name in (layout.dataset, OFFICIAL_FOLDERS[layout.dataset])]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        raise FileNotFoundError(f"no {layout.title} results: no folder {folders[0]}")
    members = _read_members(layout, folder, frames or _official_names(layout, folder))
    archive = results / layout.archive
    with atomic_path(archive) as temporary:
        with zipfile.ZipFile(temporary, "w") as file:
            for name, content in members.items():
                info = zipfile.ZipInfo(name, ZIP_DATE)
                info.external_attr = 0o644 << 16
                file.writestr(info, content, zipfile.ZIP_DEFLATED)
        check(layout, temporary, frames)
    return archive


def count_frames(layout: Layout, root: Path) -> dict[str, int]:
    """Sequences of the test set on disk and their lengths; warns where some are missing.

    Raises:
        FileNotFoundError: `root` lacks the folder of test images, or it is empty.
    """
    folder = root / layout.frames_folder
    names = list_folder(folder) if folder.is_dir() else []
    sequences = [folder / name for name in names if (folder / name).is_dir()]
    if not sequences:
        raise FileNotFoundError(f"no {layout.title} test images in {folder}")
    if len(sequences) != layout.sequences:
        logger.warning(
            f"{folder} holds {len(sequences)} sequences, the {layout.title} test set has "
            f"{layout.sequences}: its server will refuse the archive"
        )
    return {
        path.name: sum(name.endswith(".jpg") for name in list_folder(path)) for path in sequences
    }


def _parse(layout: Layout, arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser(
        f"Pack {layout.title} results into {layout.archive}, for its server.\n"
        "Everything is validated first; raw results are left as they are."
    )
    add = parser.add_argument
    add("--tracker_name", "--tracker", default="aiatrack", metavar="NAME")
    add("--cfg_name", "--param", default="baseline", metavar="NAME", help="recipe of the run")
    add("--results", type=Path, metavar="DIR", help="all results (default: test/tracking_results)")
    lengths = f"folder of the data set, to compare lengths with {layout.frames_folder}"
    default = "(default: as set for the project, if it is there)"
    add("--data", type=Path, metavar="DIR", help=f"{lengths} {default}")
    add("--check", type=Path, metavar="FILE", help="validate an existing archive instead")
    return parser.parse_args(arguments)


def _test_set(layout: Layout, data: Path | None) -> dict[str, int] | None:
    """Sequences and lengths; None if the project has no test images and the user named none."""
    if data is not None:
        return count_frames(layout, data)
    root = dataset_path(layout.dataset).path
    return count_frames(layout, root) if (root / layout.frames_folder).is_dir() else None


def _official_names(layout: Layout, folder: Path) -> dict[str, None]:
    """Sequences when the test set is not on disk, with unknown lengths."""
    logger.warning(f"no {layout.title} test images found: only the official counts are checked")
    if layout is GOT10K:
        return {f"GOT-10k_Test_{n:06d}": None for n in range(1, layout.sequences + 1)}
    names = [name[:-4] for name in list_folder(folder) if name.endswith(".txt")]
    return {name: None for name in names if not name.endswith(("_time", "_box", "_score"))}


def _read_members(
    layout: Layout, folder: Path, frames: Mapping[str, int] | Mapping[str, None]
) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    problems: list[str] = []
    for name, length in frames.items():
        try:
            boxes = _read_boxes(verified(box_file(folder, name), name), length)
            # Cut toward zero like the published results.
            rows = [",".join(map(str, box)) for box in boxes.astype(np.int64).tolist()]
            members[layout.box_member.format(name=name)] = _to_lines(rows)
            if layout.time_member:
                times = _read_times(verified(time_file(folder, name), name), len(boxes))
                rows = [f"{seconds:f}" for seconds in times]
                members[layout.time_member.format(name=name)] = _to_lines(rows)
        except FileNotFoundError as error:
            problems.append(f"{name}: no file {error.filename}")
        except (OSError, ValueError) as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise SubmissionError("\n".join(problems))
    return members


def _read_boxes(path: Path, length: int | None) -> np.ndarray:
    """Boxes (length, 4) that a server can read: finite, sizes not negative."""
    boxes = load_boxes(path)
    if length is not None and len(boxes) != length:
        raise ValueError(f"{path}: {len(boxes)} boxes for {length} frames")
    if not len(boxes):
        raise ValueError(f"{path}: no boxes")
    _refuse_line(path, ~np.isfinite(boxes), "a number that is not finite")
    _refuse_line(path, np.abs(boxes) > LARGEST, f"a number beyond {LARGEST:g} pixels")
    _refuse_line(path, boxes[:, 2:] < 0, "a negative size")
    return boxes


def _read_times(path: Path, length: int) -> np.ndarray:
    """Seconds (length,): finite, not negative."""
    times = load_column(path)
    if len(times) != length:
        raise ValueError(f"{path}: {len(times)} times for {length} boxes")
    bad = ~np.isfinite(times) | (times < 0)
    _refuse_line(path, bad[:, None], "a time that is negative or not finite")
    return times


def _refuse_line(path: Path, bad: np.ndarray, problem: str) -> None:
    """Raise for the first row of `bad` (lines, values) that holds a True."""
    if bad.any():
        raise ValueError(f"{path}, line {int(np.argmax(bad.any(axis=1))) + 1}: {problem}")


def _to_lines(rows: list[str]) -> bytes:
    return "".join(f"{row}\n" for row in rows).encode()
