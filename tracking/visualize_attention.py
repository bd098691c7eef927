"""Show what a cell of the search window attends to, before and after the inner attention.

    python tracking/visualize_attention.py clip.mp4 --init 200,150,60,80 --frame 20 --out cell.png
    python tracking/visualize_attention.py frames/ --init 200,150,60,80 --frame 20 --cell 230,190
    python tracking/visualize_attention.py clip.mp4 --init 200,150,60,80 --out attention.mp4

The target is tracked up to the frame (counted from 0, which is the one that --init is drawn in). A
PNG shows that frame, an MP4 all frames up to it. Rows: the encoder's self-attention, the decoder's
attention to the first frame (long-term) and to each recent one (short-term). Columns: the window
whose cells are attended to, then each head's weights before and after the inner attention. The
query is the cell that holds --cell, or the middle of the box found.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.program import at_least, make_parser, parse_box, parse_point, run_program
from lib.cli.progress import progress
from lib.io.video.sources import FrameSource, open_sources
from lib.test.parameter.aiatrack import parse_hyper
from lib.test.tracker.arguments import add_weights_arguments
from lib.test.tracker.options import TrackerOptions
from lib.tools.video.pictures import write_picture, write_video
from lib.utils.files import check_outputs
from lib.utils.paths import PROJECT_ROOT

if TYPE_CHECKING:
    from lib.tools.attention.maps import AttentionView

DEFAULT_OUT = PROJECT_ROOT / "demo" / "attention.png"
PNG_DPI, VIDEO_DPI = 150, 80


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("source", nargs="+", help="video file, folder or pattern of images, images")
    init_help = "box in the first frame, pixels"
    add("--init", metavar="X,Y,W,H", type=parse_box, required=True, help=init_help)
    add("--frame", type=at_least(1), metavar="N", help="frame to show, from 1; of an MP4: the last")
    add("--cell", metavar="X,Y", type=parse_point, help="query: a point in pixels of the image")
    add("--layer", type=int, help="encoder layer, from 1 (default: the last)")
    add("--out", type=Path, default=DEFAULT_OUT, help=".png or .mp4 (default: demo/attention.png)")
    add("--overwrite", action="store_true", help="replace files that exist")
    add_weights_arguments(parser)
    args = parser.parse_args()
    if args.out.suffix.lower() not in (".png", ".mp4"):
        parser.error(f"--out must end in .png or .mp4; given: {args.out}")
    if args.out.suffix.lower() == ".png" and args.frame is None:
        parser.error("a PNG shows one frame: name it with --frame N")
    return args


def views(args: argparse.Namespace, source: FrameSource, since: int = 1) -> Iterator[AttentionView]:
    """Track to the frame asked for; ValueError if the source ends before it."""
    choice = (args.param, args.checkpoint, "video", args.device, parse_hyper(args.hyper))
    options = TrackerOptions(*choice, plain=True)
    from lib.test.tracker.prepare import load_torch_tracker  # torch, once the arguments are right
    from lib.tools.attention import maps

    tracker, last = load_torch_tracker(options), 0
    with maps.AttentionRecorder(maps.watched_attentions(tracker.model, args.layer)) as recorder:
        frames = itertools.islice(source, args.frame and args.frame + 1)
        for view in maps.attention_views(tracker, recorder, frames, args.init, args.cell, since):
            yield view
            last = view.frame
    if args.frame is not None and last < args.frame:
        raise ValueError(f"{source.name} ends before frame {args.frame} (the first one is frame 0)")


def main() -> int:
    args = parse_arguments()
    with open_sources(args.source) as source:
        from lib.tools.attention.figure import draw_view

        check_outputs([args.out], source.files, overwrite=args.overwrite)

        if args.out.suffix.lower() == ".png":
            (view,) = views(args, source, since=args.frame)
            write_picture(args.out, draw_view(view, PNG_DPI))
        else:
            ends = [n for n in (args.frame, source.length and source.length - 1) if n is not None]
            every, total = views(args, source), min(ends, default=None)
            bar = progress(every, "drawing", total=total)
            write_video(args.out, (draw_view(view, VIDEO_DPI) for view in bar), source.rate)
    print(args.out)
    return 0


if __name__ == "__main__":
    run_program(main)
