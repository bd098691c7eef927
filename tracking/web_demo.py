"""Track and label videos on a page: draw boxes, watch, correct, take the result away.

    pip install -r requirements-web.txt
    python tracking/web_demo.py                        # then open the address that it prints
    python tracking/web_demo.py clip.mp4 --param demo
    python tracking/web_demo.py 0                      # camera 0; its frames are kept as images

The page is served to this machine alone (127.0.0.1), and nothing is sent anywhere. On a server
without a screen, forward the port from your own machine and open http://127.0.0.1:7860 there:

    ssh -L 7860:127.0.0.1:7860 you@server

Draw one or several boxes, track forwards and backwards, stop, correct any frame, go on from there.
Results: MP4, JSON lines, CSV, and data sets (own data, OTB, LaSOT, GOT-10k, COCO) in which boxes
that were checked by hand are marked. A run goes on while the page is closed or loaded again; Ctrl-C
ends the program. Uploads, recordings and results lie in --folder.
"""

import argparse
import logging
import shlex
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.program import make_parser, run_program
from lib.test.tracker.arguments import add_tracker_arguments, tracker_options
from lib.test.tracker.load import make_tracker
from lib.tools.web.page import Page
from lib.tools.web.session import Session
from lib.utils.paths import PROJECT_ROOT

PORT = 7860


def parse_arguments() -> tuple[argparse.Namespace, str]:
    """The arguments, and those of them that tracking/video_demo.py takes as well, for a shell."""
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("source", nargs="?", help="video file, camera index, folder of images, stream")
    add("--port", type=int, default=PORT, help=f"on 127.0.0.1 (default: {PORT})")
    folder_help = "for uploads, recordings and results (default: demo/web)"
    add("--folder", type=Path, default=PROJECT_ROOT / "demo" / "web", help=folder_help)
    add("--max-upload", default="4gb", metavar="SIZE", help="of a file, such as 500mb, 4gb")
    lost_help = "scores below this count as lost (default: the recipe's TEST.LOST_BELOW)"
    ours = len(parser._actions)
    add("--lost-below", type=float, metavar="SCORE", help=lost_help)
    add_tracker_arguments(parser)
    args = parser.parse_args()
    shared = []
    for action in parser._actions[ours:]:
        value = getattr(args, action.dest)
        if value != action.default:
            flag = isinstance(value, bool)
            shared += [action.option_strings[0], *([] if flag else [str(value)])]
    return args, shlex.join(shared)


def main() -> int:
    args, options = parse_arguments()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    print("loading the network ...", flush=True)
    session = Session(make_tracker(tracker_options(args, "video")), args.folder, options)
    if args.source is not None:
        session.open(args.source)
    address = Page(session).launch(args.port, args.max_upload)
    print(f"open {address} (Ctrl-C ends; from another machine: --help says how)", flush=True)
    try:
        while True:
            time.sleep(3600)
    finally:
        session.close()


if __name__ == "__main__":
    run_program(main)
