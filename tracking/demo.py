"""Track a real video and synthetic clips with the demo weights: videos, pictures, a table, plots.

    python tracking/demo.py

The video is assets/videos/cars.mp4, two targets in one pass. The clips are made here, from
photographs that no training has seen, so that their true boxes are known.
"""

import argparse
import hashlib
import itertools
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np

from lib.cli.program import at_least, make_parser, run_program
from lib.cli.progress import progress, saying
from lib.config.aiatrack.config import recipe_name
from lib.io.layouts import write_got10k
from lib.io.video.draw import BLACK, WHITE, draw_box, write_label
from lib.io.video.sources import open_source
from lib.io.video_file import read_frame
from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.plan import VERSION, plan_clip
from lib.synthetic.render import render
from lib.synthetic.textures import SPLITS, PhotoTextures
from lib.test.analysis.extract_results import Run
from lib.test.analysis.report import make_report
from lib.test.analysis.tables import overall_rows, sequence_rows, to_text
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.datasets import open_dataset
from lib.test.evaluation.provenance import Provenance, make_provenance
from lib.test.evaluation.results import ResultFolder, SequenceResult
from lib.test.evaluation.tracker import run_sequence
from lib.test.tracker import BatchTracker
from lib.test.tracker.arguments import add_tracker_arguments, tracker_options
from lib.test.tracker.following import Following
from lib.test.tracker.load import make_tracker
from lib.test.tracker.targets import Targets
from lib.tools.video.painter import COLOURS, Painter
from lib.tools.video.pictures import TILE_WIDTH, Row, write_contact_sheet, write_video
from lib.utils.files import check_outputs
from lib.utils.paths import PROJECT_ROOT

PHOTOGRAPHS = PROJECT_ROOT / "assets" / "photographs"
VIDEO = PROJECT_ROOT / "assets" / "videos" / "cars.mp4"
CARS = ([316, 133, 162, 293], [90, 72, 160, 312])  # x, y, w, h in its first frame
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
    """A folder's name that says what the clips are made of; others for other photographs."""
    folder = args.photographs.resolve()
    digest = hashlib.blake2b(os.fsencode(folder), digest_size=4).hexdigest()
    kind = folder.name if folder == PHOTOGRAPHS.resolve() else f"{folder.name}-{digest}"
    part = "" if args.part == "all" else f"_{args.part}"
    return f"{kind}{part}_v{VERSION}_seed{args.seed}_{args.clips}x{args.frames}"


def compose_clips(args: argparse.Namespace, root: Path) -> list[Sequence]:
    """Write those clips that are not whole under `root`, and open them as the demo test set."""
    textures = PhotoTextures(args.photographs, split=args.part)
    options, written = ClipOptions(length=args.frames), root / "val" / "list.txt"
    whole = written.read_text().split() if written.is_file() else []
    for number in progress(range(args.clips), "composing", unit="clips"):
        if (name := f"clip_{number + 1:02d}") not in whole:  # the list names a clip at its end
            plan = plan_clip(np.random.default_rng((args.seed, number)), textures, options)
            write_got10k(root, [(name, render(plan))], split="val")
    os.environ["AIATRACK_DEMO_DIR"] = str(root)
    test_set = open_dataset("demo")
    return [test_set.load(name) for name in test_set.names]


def track_video(tracker: BatchTracker, path: Path) -> Row:
    """Follow the cars of VIDEO and write them to a video; return their row of the sheet."""
    painter = Painter(trail=12)
    frames, small = [], []  # the small ones are drawn small, so that their labels can be read
    with open_source(str(VIDEO)) as source:
        steps = Following(source, Targets(tracker), CARS)
        for step in progress(steps, f"tracking {VIDEO.name}", total=source.length):
            number, _, image, states = step
            frames.append(painter.draw(image, number, states))
            scale = TILE_WIDTH / image.shape[1]
            scaled = [s._replace(box_xywh=[v * scale for v in s.box_xywh]) for s in states]
            tile = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            small.append(Painter().draw(tile, number, scaled))
        write_video(path, frames, source.rate)
    return pick(f"{VIDEO.name}: two targets, predicted IoU at each; no true boxes", small)


def draw(sequence: Sequence, result: SequenceResult) -> list[np.ndarray]:
    """Frames with the true box in white, the tracker's with its score, and their number."""
    drawn = []
    rows = zip(sequence.frames, sequence.boxes_xywh, *result[:2], strict=True)
    for number, (path, truth, box, score) in enumerate(rows):
        frame = read_frame(path)
        if truth[2] > 0:
            frame = draw_box(frame, truth.tolist(), colour=WHITE)
        drawn.append(draw_box(frame, box.tolist(), f"{score:.2f}", COLOURS[0]))
        write_label(drawn[-1], str(number), (0, len(frame)), BLACK)
    return drawn


def pick(title: str, frames: list[np.ndarray]) -> Row:
    """A row of the contact sheet: SHEET_COLUMNS of the frames."""
    columns = np.linspace(0, len(frames) - 1, SHEET_COLUMNS).round().astype(int)
    return Row(title, [frames[i] for i in columns])


def track_clips(
    tracker: BatchTracker, sequences: list[Sequence], folder: ResultFolder, provenance: Provenance
) -> tuple[dict[str, list[np.ndarray]], float]:
    """Track clips and keep the results; return the drawn frames by clip, and frames a second."""
    drawn, seconds = {}, []
    for sequence in progress(sequences, "tracking", unit="clips"):
        result = run_sequence(tracker, sequence)
        folder.save(sequence.name, result, provenance)
        drawn[sequence.name] = draw(sequence, result)
        seconds += result.seconds[1:].tolist()
    return drawn, len(seconds) / sum(seconds)


def main() -> int:
    args = parse_arguments()
    out = args.out or PROJECT_ROOT / "demo"
    outputs = [out / name for name in ("contact_sheet.png", "demo.mp4", "cars.mp4")]
    overwrite = args.overwrite or args.out is None
    check_outputs(outputs, [args.photographs, VIDEO], overwrite=overwrite)
    sheet_file, video_file, cars_file = outputs
    out.mkdir(parents=True, exist_ok=True)
    # Track the video, then the clips.
    options = tracker_options(args, "demo")
    tracker, provenance = make_tracker(options), make_provenance(options)
    rows = [track_video(tracker, cars_file)]
    name, recipe = clips_name(args), recipe_name(args.param)
    folder, root = ResultFolder(out / "results" / name, "aiatrack", recipe, "demo"), out / "clips"
    sequences = compose_clips(args, root / name)
    drawn, rate = track_clips(tracker, sequences, folder, provenance)
    # Score and show them.
    scored = make_report("demo", [Run(recipe, (folder.path,))], root=root / name).evaluations
    clips = sequence_rows(scored)
    print(to_text([*clips, *overall_rows(scored)]))
    print(f"\n{rate:.0f} frames a second, reading and drawing left out")
    rows += [pick(f"{c.group}: AUC {c.figures['AUC']:.1f}", drawn[c.group]) for c in clips]
    with saying("drawing"):
        from lib.test.analysis.plot_results import plot_all  # Matplotlib, once all is tracked

        plot_all(scored, out)
        legend = [("tracked, with predicted IoU", COLOURS[0]), ("true box", WHITE)]
        write_contact_sheet(sheet_file, rows, legend)
        write_video(video_file, itertools.chain.from_iterable(drawn.values()))
    print(
        f"white: true box, orange: tracked; in {out}: cars.mp4, demo.mp4, contact_sheet.png, plots"
    )
    return 0


if __name__ == "__main__":
    run_program(main)
