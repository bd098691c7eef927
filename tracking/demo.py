"""Track synthetic clips with the demo weights: a table, success plots, a contact sheet, a video.

    python tracking/demo.py

The clips are made here, from photographs that no training has seen; see README, "Demo".
"""

import argparse
import hashlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.utils.progress import saying

with saying("loading PyTorch"):
    import numpy as np

    from lib.config.aiatrack.config import recipe_name
    from lib.io.video.draw import draw_box
    from lib.io.video_file import read_frame
    from lib.synthetic.clip_options import ClipOptions
    from lib.synthetic.layouts import write_got10k
    from lib.synthetic.plan import plan_clip
    from lib.synthetic.render import render
    from lib.synthetic.textures import SPLITS, PhotoTextures
    from lib.test.analysis.extract_results import Run
    from lib.test.analysis.plot_results import plot_all
    from lib.test.analysis.report import make_report
    from lib.test.analysis.tables import overall_rows, sequence_rows, to_text
    from lib.test.evaluation.data import Sequence
    from lib.test.evaluation.datasets import open_dataset
    from lib.test.evaluation.provenance import make_provenance
    from lib.test.evaluation.results import ResultFolder, SequenceResult
    from lib.test.evaluation.tracker import run_sequence
    from lib.test.tracker.arguments import add_tracker_arguments, tracker_options
    from lib.test.tracker.load import make_tracker
    from lib.tools.video.pictures import write_contact_sheet, write_video
    from lib.utils.files import check_outputs
    from lib.utils.paths import PROJECT_ROOT
    from lib.utils.program import at_least, make_parser, run_program

PHOTOGRAPHS = PROJECT_ROOT / "assets" / "photographs"
WHITE = (255, 255, 255)
SHEET_COLUMNS = 6  # frames of a clip on the contact sheet


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add_tracker_arguments(parser, param="demo")
    add = parser.add_argument
    add("--clips", type=at_least(1), default=8, help="number of clips (default: 8)")
    add("--frames", type=at_least(2), default=60, help="frames of a clip (default: 60)")
    add("--seed", type=int, default=2026, help="of the clips (default: 2026)")
    images_help = "<name>.jpg with segmentation masks <name>.png (default: assets/photographs)"
    add("--photographs", type=Path, default=PHOTOGRAPHS, metavar="DIR", help=images_help)
    add("--part", choices=list(SPLITS), default="all", help="val: left out of training on them")
    add("--out", type=Path, help="folder (default: demo/, in which files are replaced)")
    add("--overwrite", action="store_true", help="replace files in the folder of --out")
    return parser.parse_args()


def clips_name(args: argparse.Namespace) -> str:
    """A folder's name that says what the clips are made of; not the same for other photographs."""
    folder = args.photographs.resolve()
    digest = hashlib.blake2b(os.fsencode(folder), digest_size=4).hexdigest()
    kind = folder.name if folder == PHOTOGRAPHS.resolve() else f"{folder.name}-{digest}"
    part = "" if args.part == "all" else f"_{args.part}"
    return f"{kind}{part}_seed{args.seed}_{args.clips}x{args.frames}"


def compose_clips(args: argparse.Namespace, root: Path) -> list[Sequence]:
    """Write those clips that are not whole under `root`, and open them as the demo test set."""
    textures = PhotoTextures(args.photographs, split=args.part)
    options, written = ClipOptions(length=args.frames), root / "val" / "list.txt"
    whole = written.read_text().split() if written.is_file() else []
    for number in range(args.clips):
        if (name := f"clip_{number + 1:02d}") not in whole:  # the list names a clip at its end
            plan = plan_clip(np.random.default_rng((args.seed, number)), textures, options)
            write_got10k(root, [(name, render(plan))], split="val")
    os.environ["AIATRACK_DEMO_DIR"] = str(root)
    test_set = open_dataset("demo")
    return [test_set.load(name) for name in test_set.names]


def draw(sequence: Sequence, result: SequenceResult) -> list[np.ndarray]:
    """Frames with the true box in white and the tracker's in green with its score."""
    drawn = []
    rows = zip(sequence.frames, sequence.boxes_xywh, *result[:2], strict=True)
    for path, truth, box, score in rows:
        frame = read_frame(path)
        if truth[2] > 0:
            frame = draw_box(frame, truth.tolist(), colour=WHITE)
        drawn.append(draw_box(frame, box.tolist(), f"{score:.2f}"))
    return drawn


def main() -> int:
    args = parse_arguments()
    out = args.out or PROJECT_ROOT / "demo"
    sheet_file, video_file = out / "contact_sheet.png", out / "demo.mp4"
    overwrite = args.overwrite or args.out is None
    check_outputs([sheet_file, video_file], [args.photographs], overwrite=overwrite)
    options = tracker_options(args, "demo")
    tracker, provenance = make_tracker(options), make_provenance(options)
    name = clips_name(args)
    root = out / "clips" / name
    folder = ResultFolder(out / "results" / name, "aiatrack", recipe_name(args.param), "demo")
    sheet, video, seconds = [], [], []
    for sequence in compose_clips(args, root):
        result = run_sequence(tracker, sequence)
        folder.save(sequence.name, result, provenance)
        frames = draw(sequence, result)
        columns = np.linspace(0, len(frames) - 1, SHEET_COLUMNS).round().astype(int)
        sheet.append([frames[i] for i in columns])
        video += frames
        seconds += result.seconds[1:].tolist()
    report = make_report("demo", [Run(recipe_name(args.param), (folder.path,))], root=root)
    scored = report.evaluations
    print(to_text([*sequence_rows(scored), *overall_rows(scored)]))
    print(f"\n{len(seconds) / sum(seconds):.0f} frames a second, reading and drawing left out")
    plot_all(scored, out)
    write_contact_sheet(sheet_file, sheet)
    write_video(video_file, video)
    print(f"white: true box, green: tracked; in {out}: demo.mp4, contact_sheet.png, plots")
    return 0


if __name__ == "__main__":
    run_program(main)
