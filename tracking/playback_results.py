"""Show or write stored results over the frames they were made on: several runs, and the truth.

    python tracking/playback_results.py --dataset otb --seq Crossing,Couple
    python tracking/playback_results.py --dataset otb --param baseline demo --trail 30
    python tracking/playback_results.py --dataset own --results ours theirs --out videos --overwrite
    python tracking/playback_results.py --dataset lasot --seq airplane-1 --show

Runs are named as for tracking/analysis_results.py. Writes <out>/<sequence>.mp4 (H.264) for each
sequence that a run has a result of: the true box in white where it is known, each run's box in
its own colour, a legend with scores below. With --show: n goes to the next sequence, q or Escape
ends.

A sequence that cannot be played, as where its frames are not there, is named; the others are. Exit
status 1 if one could not, or if there is none.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.program import USERS_ERRORS, at_least, make_parser, run_program
from lib.cli.progress import progress
from lib.test.analysis.extract_results import Run, result_files
from lib.test.evaluation.data import Sequence as FrameSequence
from lib.test.evaluation.datasets import dataset_key, open_dataset, select_names
from lib.test.evaluation.layouts import LAYOUTS, TestSet
from lib.tools.runs import add_run_arguments, make_runs
from lib.tools.video.pictures import write_video
from lib.tools.video.playback import Track, draw_sequence, frame_files, load_track, show_frames
from lib.tools.video.screen import Screen
from lib.utils.files import check_outputs
from lib.utils.messages import one_line
from lib.utils.paths import PROJECT_ROOT

Files = dict[str, Path]  # a run's box file by sequence


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    sets = f"one of {', '.join(LAYOUTS)} (default: otb)"
    named: Any = {"type": dataset_key, "choices": LAYOUTS, "metavar": "NAME"}
    add("--dataset", "--dataset_name", default="otb", help=sets, **named)
    add("--seq", "--sequence", help="only these, by name or index, separated by commas")
    add_run_arguments(parser)
    add("--out", type=Path, metavar="DIR", help="of the videos (default: demo/playback/<dataset>)")
    add("--overwrite", action="store_true", help="replace files that exist")
    add("--show", action="store_true", help="show the frames instead (needs a screen)")
    add("--trail", type=at_least(0), default=0, metavar="N", help="line through the last N boxes")
    add("--fps", type=at_least(1), default=25, help="frames a second (default: 25)")
    return parser.parse_args()


def find_files(runs: Sequence[Run], test_set: TestSet) -> list[Files]:
    """The box files of each run; a run without any is named."""
    files = []
    for run in runs:
        files.append(result_files(run, test_set)[1])
        if not files[-1]:
            places = " or ".join(map(str, run.folders))
            print(f"{run.name}: no result of {test_set.dataset} in {places}", file=sys.stderr)
    return files


def load_tracks(runs: Sequence[Run], files: Sequence[Files], name: str) -> list[Track]:
    """What each run found in a sequence; one that has no result of it is named."""
    tracks = []
    for target, (run, paths) in enumerate(zip(runs, files, strict=True), 1):
        if name in paths:
            tracks.append(load_track(run.name, target, paths[name], name))
        elif paths:
            print(f"{name}: {run.name} has no result of it", file=sys.stderr)
    if not tracks:
        raise ValueError("no run has a result of it")
    return tracks


def play(
    sequence: FrameSequence, tracks: list[Track], args: argparse.Namespace, screen: Screen | None
) -> str:
    """Show or write a sequence; return the key that ended it, or an empty text."""
    frames = draw_sequence(sequence, tracks, args.trail)
    if screen:
        return show_frames(screen, frames, args.fps)
    out = args.out / f"{sequence.name}.mp4"
    check_outputs([out], frame_files(sequence), overwrite=args.overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    total = len(sequence.frames)
    write_video(out, progress(frames, sequence.name, total=total), args.fps)
    print(out)
    return ""


def main() -> int:
    args = parse_arguments()
    args.out = args.out or PROJECT_ROOT / "demo" / "playback" / args.dataset
    runs, test_set = make_runs(args), open_dataset(args.dataset)
    screen, failed, files = Screen() if args.show else None, [], find_files(runs, test_set)
    names = select_names(test_set, args.seq)
    if args.seq is None:
        names = tuple(name for name in names if any(name in paths for paths in files))
    if not names:
        raise ValueError(f"no result of {args.dataset} to play")
    for name in names:
        try:
            key = play(test_set.load(name), load_tracks(runs, files, name), args, screen)
        except USERS_ERRORS as error:
            print(f"cannot play {name}: {one_line(str(error), 500)}", file=sys.stderr)
            failed.append(name)
            continue
        if key in ("q", "escape"):
            break
    return 1 if failed else 0


if __name__ == "__main__":
    run_program(main)
