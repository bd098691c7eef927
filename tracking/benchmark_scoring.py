"""Measure how long LaSOT's 280 sequences (685,360 frames) take to read and to score.

    python tracking/benchmark_scoring.py

Random boxes of that number, in the toolkit's layout, are read and scored by the code that
tracking/analysis_results.py uses. Exit status 1 if scoring takes longer than --limit seconds.
"""

import sys
import tempfile
import time
import timeit
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from lib.cli.program import at_least, make_parser, run_program
from lib.io.load_text import load_boxes
from lib.test.analysis.protocols import score
from lib.test.evaluation.datasets import open_annotations

FRAMES = 685_360  # of LaSOT's test set
SIZE = (1280, 720)


def write_set(root: Path, generator: np.random.Generator) -> None:
    """Write annotation, absence flags and results of 280 sequences."""
    names = open_annotations("lasot", root).names
    # Lengths of two frames or more that differ and add up to FRAMES.
    cuts = np.sort(generator.choice(np.arange(2, FRAMES, 2), len(names) - 1, replace=False))
    lengths = np.diff([0, *cuts, FRAMES])
    for folder in ("annos", "absent", "results"):
        (root / folder).mkdir()
    for name, length in zip(names, lengths, strict=True):
        corner = generator.integers(1, SIZE, (length, 2))
        truth = np.hstack([corner, generator.integers(20, 200, (length, 2))])
        result = truth + generator.integers(-10, 10, truth.shape)
        np.savetxt(root / "annos" / f"{name}.txt", truth, "%d", ",")
        np.savetxt(root / "results" / f"{name}.txt", result, "%d", "\t")
        np.savetxt(root / "absent" / f"{name}.txt", generator.random(length) < 0.05, "%d")


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--repeats", type=at_least(1), default=3, help="the quickest counts (default: 3)"
    )
    parser.add_argument("--limit", type=float, default=2.0, help="seconds allowed (default: 2)")
    args = parser.parse_args()
    if not args.limit > 0:
        parser.error(f"--limit must be above 0; given: {args.limit}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_set(root, np.random.default_rng(0))
        start = time.perf_counter()
        annotations = open_annotations("lasot", root)
        paths = {name: root / "results" / f"{name}.txt" for name in annotations.names}
        pairs = [(load_boxes(path), annotations.truth(name)) for name, path in paths.items()]
        reading = time.perf_counter() - start
    frames = sum(len(truth.boxes_xywh) for _, truth in pairs)
    print(f"{len(pairs)} sequences, {frames:,} frames: read in {reading:.2f} s")
    slowest = 0.0
    for protocol in ("lasot", "otb", "otb_strict"):
        call = "[score(protocol, *pair) for pair in pairs]"
        names = {"score": score, "protocol": protocol, "pairs": pairs}
        seconds = min(timeit.repeat(call, globals=names, number=1, repeat=args.repeats))
        print(f"scored under {protocol} in {seconds:.2f} s")
        slowest = max(slowest, seconds)
    return 1 if slowest > args.limit else 0


if __name__ == "__main__":
    run_program(main)
