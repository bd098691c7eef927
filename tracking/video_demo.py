"""Track targets in your own video, camera, images or stream.

    python tracking/video_demo.py clip.mp4 --init 200,150,60,80
    python tracking/video_demo.py clip.mp4 --init 200,150,60,80 --init 20,30,40,40
    python tracking/video_demo.py 0 --show                 # camera 0; draw the box with the mouse
    python tracking/video_demo.py "frames/*.jpg" --init 200,150,60,80 --out tracked.mp4
    python tracking/video_demo.py rtsp://host/stream --init 200,150,60,80

Writes an MP4 (H.264) with the boxes drawn and, beside it, JSON lines: frame, time (seconds since
the first frame), target (from 1), box (x, y, w, h in pixels), score (predicted IoU in [0, 1]; null
where the box was given) and lost. Memory does not grow with the video. Ctrl-C ends with whole files
up to that frame. With --show: q or Escape ends, r draws the boxes anew.

lost means: score below --lost-below. The recipe's TEST.LOST_BELOW is, for the demo weights, what
tracking/measure_lost.py measured, elsewhere 0.3, a convention (docs/videos.md).

The MP4 shows every frame at its time in the source, or by --fps where that is given; of a camera
that is faster than the tracker it shows the frames that were tracked. Without PyAV, OpenCV reads
and writes videos, and the MP4 plays at the source's mean rate.

A file or folder goes before a camera of the same name: a folder 0 is a folder, /dev/video0 the
camera. What exists is replaced with --overwrite only, and the source never.

Exit status: 0 all frames tracked, or ended by key; 1 an error; 2 wrong usage; 3 the source broke
off or is damaged (files are whole up to there); 130 or 143 stopped by Ctrl-C or SIGTERM (likewise).
"""

import argparse
import glob
import re
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from lib.cli.program import add_ignored, at_least, make_parser, parse_box, run_program
from lib.cli.progress import progress
from lib.io.video.sources import Frame, open_sources
from lib.io.video.writer import VideoWriter
from lib.test.tracker.arguments import add_tracker_arguments, tracker_options
from lib.test.tracker.following import Following
from lib.test.tracker.load import make_tracker
from lib.test.tracker.targets import Targets
from lib.tools.video.follow import RecordWriter, Summary, follow
from lib.tools.video.painter import Painter
from lib.tools.video.screen import NoScreenError, Screen
from lib.utils.files import check_outputs
from lib.utils.paths import PROJECT_ROOT
from lib.utils.stopping import StopRequest

BROKEN_OFF = 3
WITHOUT_MEANING = {
    "--save_results": "boxes are always written",
    "--debug": "--show shows the frames",
}


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    source_help = "video, camera index, folder or pattern of images, images, rtsp:// or http://"
    add("source", nargs="+", help=source_help)
    init_help = "box in the first frame, pixels; repeat it for more targets; default: draw them"
    add(
        "--init",
        "--optional_box",
        action="append",
        metavar="X,Y,W,H",
        type=parse_box,
        default=[],
        help=init_help,
    )
    add("--out", type=Path, help="video to write (default: demo/<source>.mp4); .jsonl beside it")
    add("--overwrite", action="store_true", help="replace files that exist")
    add("--show", action="store_true", help="show the frames while tracking (needs a screen)")
    add("--trail", type=at_least(0), default=0, metavar="N", help="line through the last N boxes")
    lost_help = "scores below this count as lost (default: the recipe's, see above)"
    add("--lost-below", type=float, metavar="SCORE", help=lost_help)
    add("--fps", type=float, help="frames a second (default: what the source says, else 25)")
    add("--codec", help="of the MP4, four characters, such as hvc1 (default: avc1, H.264)")
    add_tracker_arguments(parser)
    add_ignored(parser, WITHOUT_MEANING)
    args = parser.parse_args()
    if args.source[0] == "aiatrack" and len(args.source) > 2:  # tracker, recipe, video
        _, args.param, *args.source = args.source
    if args.lost_below is not None and not 0 <= args.lost_below <= 1:
        parser.error(f"--lost-below must be in [0, 1]; given: {args.lost_below}")
    if args.fps is not None and not 0 < args.fps <= 1000:
        parser.error(f"--fps must be above 0 and at most 1000; given: {args.fps}")
    return args


def default_output(name: str) -> Path:
    """demo/<last part of the source's name that says something, in plain letters>.mp4.

    Of images that is the folder of the sequence, of a stream its address.
    """
    path = Path(name).expanduser()
    stem = path.stem
    if "://" in name:
        stem = name.split("://")[1]
    elif path.is_dir() or (glob.has_magic(name) and not path.is_file()):
        parts = path.resolve().parts[1:]
        folders = [part for part in parts if part != "img" and not glob.has_magic(part)]
        stem = folders[-1] if folders else ""
    plain = re.sub(r"[^\w.-]+", "_", stem)
    return PROJECT_ROOT / "demo" / f"{plain.strip('_') or 'video'}.mp4"


def open_screen(args: argparse.Namespace) -> Screen | None:
    """A screen, where one is needed: to show frames, or to draw the boxes that were not given."""
    if args.init and not args.show:
        return None
    try:
        return Screen()
    except NoScreenError as error:
        if args.show:
            raise
        message = "without --init x,y,w,h the box is drawn with the mouse, and there is no screen"
        raise NoScreenError(message) from error


def first_boxes(
    args: argparse.Namespace, screen: Screen | None, image: np.ndarray
) -> Sequence[Sequence[float]]:
    """Boxes of the first frame: of --init, or drawn with the mouse."""
    if args.init or screen is None:
        return args.init
    boxes = [box for box in screen.draw_boxes(image, None) if box is not None]
    if not args.show:
        screen.close()
    if not boxes:
        raise ValueError("no box was drawn")
    return boxes


def with_bar(length: int | None, frames: Iterator[Frame]) -> Iterator[Frame]:
    """Pass frames on, saying how far it is."""
    with progress(None, "tracking", total=length) as bar:
        for frame in frames:
            yield frame
            bar.update()


def report(summary: Summary, out: Path) -> None:
    lost = ", ".join(f"target {target} in {frames}" for target, frames in summary.lost.items())
    print(f"{summary.frames} frames tracked; lost: {lost or 'never'}")
    print(f"{out}\n{out.with_suffix('.jsonl')}")
    if summary.ended_by == "broken off":
        print(f"the source broke off: {summary.detail}", file=sys.stderr)


def main() -> int:
    args = parse_arguments()
    screen = open_screen(args)
    with open_sources(args.source, args.fps) as source:
        out = args.out or default_output(source.name)
        outputs = [out, out.with_suffix(".jsonl")]
        check_outputs(outputs, source.files, overwrite=args.overwrite)
        # Load the network.
        tracker = make_tracker(tracker_options(args, "video"))
        # Follow the targets to the end.
        with (
            VideoWriter(outputs[0], source.rate, args.codec) as video,
            RecordWriter(outputs[1]) as records,
            StopRequest(second_interrupts=True) as stop,
        ):
            bar, choose = partial(with_bar, source.length), partial(first_boxes, args, screen)
            steps = Following(source, Targets(tracker), choose, frames=bar)
            writers, painter = (video, records), Painter(args.trail)
            shown = screen if args.show else None
            summary = follow(steps, writers, painter=painter, screen=shown, stop=stop)
    # Say how it ended.
    report(summary, out)
    if summary.ended_by == "signal" and stop.signal_number is not None:
        return 128 + stop.signal_number
    return BROKEN_OFF if summary.ended_by == "broken off" else 0


if __name__ == "__main__":
    run_program(main)
