"""Write the tracker's network as two ONNX files, and check them in ONNX Runtime.

    python tracking/export_onnx.py --param baseline
    python tracking/export_onnx.py --param demo --dataset lasot --out onnx/demo_lasot
    python tracking/export_onnx.py --check-sequence clip.mp4 --init 200,150,60,80 --frames 100

memorize.onnx turns a frame and its box into a reference's keys and values; track.onnx turns a frame
and references into box, score and the frame's own keys and values. Shapes are static: one target,
and as many short-term references as TEST.HYPER of --dataset, or --hyper, says. Inputs and outputs
are explained in lib/models/aiatrack/onnx/graphs.py; the files need nothing but an ONNX runtime.

--int8 writes them a second time, with the backbone in int8, to the folder int8 within: twice as
fast on CPUs with VNNI, other boxes. Track with `--backend onnx --onnx FOLDER/int8`.

Where an output differs from PyTorch's, nothing is written and the exit status is 1. With
--check-sequence a clip is tracked by both as well: boxes must agree within 0.05 pixels.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.program import at_least, make_parser, parse_box, run_program
from lib.config.aiatrack.config import load_config, recipe_name
from lib.io.video.sources import open_source
from lib.models.aiatrack.onnx.contract import INPUTS, GraphFacts, network_settings, require_packages
from lib.models.aiatrack.onnx.session import OnnxNetwork, import_onnxruntime
from lib.test.evaluation.datasets import dataset_key
from lib.test.evaluation.provenance import make_provenance
from lib.test.parameter.aiatrack import find_checkpoint, make_params, parse_hyper
from lib.test.tracker.load import load_tracker
from lib.test.tracker.onnx_tracker import default_folder
from lib.test.tracker.options import TrackerOptions
from lib.utils.files import check_outputs

INT8 = "int8"  # folder
# Share of an output's greatest magnitude. fp32 in another order gives 1e-5 at most, wrong operators
# far more. int8 gives 0.02 with the demo weights, more with a network that was not trained; what
# differs by as much as it measures is something else.
TOLERANCE, INT8_TOLERANCE = 1e-4, 1.0

if TYPE_CHECKING:
    from lib.models.aiatrack.aiatrack import AiATrack


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--param", default="baseline", help="recipe: a name or a .yaml path (default: baseline)")
    add("--checkpoint", help="weights; default: the recipe's under checkpoints/")
    add("--out", type=Path, help="folder (default: checkpoints/onnx/aiatrack/<param>)")
    whose = "whose number of references to take (default: otb)"
    add("--dataset", default="otb", type=dataset_key, help=whose)
    add("--hyper", help="capacity,ensemble,threshold instead of the recipe's, such as 100,3,0.7")
    add("--int8", action="store_true", help="write files with the backbone in int8 as well")
    add("--calibration", metavar="FOLDER", help="images to find their scales on (default: made)")
    add("--check-sequence", metavar="SOURCE", help="video, folder or pattern of images to track")
    add("--init", metavar="X,Y,W,H", type=parse_box, help="box in its first frame, pixels")
    add("--frames", type=at_least(2), default=100, help="how many of its frames (default: 100)")
    add("--overwrite", action="store_true", help="replace files that exist")
    args = parser.parse_args()
    if (args.check_sequence is None) != (args.init is None):
        parser.error("--check-sequence SOURCE and --init X,Y,W,H go together")
    if args.calibration and not args.int8:
        parser.error("--calibration FOLDER is for --int8")
    return args


def read_network(args: argparse.Namespace) -> tuple[AiATrack, GraphFacts]:
    """The network as trained, and what the files will say of themselves."""
    cfg, name = load_config(args.param), recipe_name(args.param)
    checkpoint = args.checkpoint or str(find_checkpoint(cfg, name))
    ensemble = make_params(cfg, args.dataset, args.hyper).ensemble
    from lib.models.aiatrack.build import build_aiatrack  # torch, once the arguments are right
    from lib.models.aiatrack.weights import load_weights

    model = build_aiatrack(cfg).eval()
    load_weights(model, checkpoint)
    options = TrackerOptions(
        args.param, checkpoint, args.dataset, "cpu", hyper=args.hyper, plain=True
    )
    return model, GraphFacts("", name, network_settings(cfg), ensemble, make_provenance(options))


def write_checked(args: argparse.Namespace, out: Path) -> None:
    """Export into a temporary folder, check, and only then put both files in their place."""
    require_packages()
    import_onnxruntime()
    model, facts = read_network(args)
    size = facts.settings["TEST.SEARCH_SIZE"]
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export", dir=out) as folder:
        export_both(model, facts, size, Path(folder))
        check(model, facts, size, Path(folder))
        if args.int8:
            quantize_both(args, Path(folder))
            check(model, facts, size, Path(folder) / INT8, INT8_TOLERANCE)
        for path in Path(folder).rglob("*.onnx"):
            target = out / path.relative_to(folder)
            target.parent.mkdir(exist_ok=True)
            path.replace(target)


def export_both(model: AiATrack, facts: GraphFacts, size: int, folder: Path) -> None:
    from lib.models.aiatrack.onnx import export

    fast = export.optimize_for_export(model)
    for graph, inputs in export.example_inputs(model, size, facts.ensemble).items():
        path = folder / f"{graph}.onnx"
        export.export_graph(fast, inputs, facts._replace(graph=graph), path)
        shapes = ", ".join(f"{name} {tuple(x.shape)}" for name, x in inputs.items())
        print(f"{path.name}: opset {export.OPSET}, {path.stat().st_size / 2**20:.1f} MiB; {shapes}")


def quantize_both(args: argparse.Namespace, folder: Path) -> None:
    """Quantize exported files into the folder INT8 beside them."""
    from lib.models.aiatrack.onnx.quantize import quantize_graph
    from lib.test.tracker.calibration import calibration_crops

    params = make_params(load_config(args.param), args.dataset, args.hyper)
    crops = calibration_crops(params, args.calibration)
    (folder / INT8).mkdir()
    for graph in INPUTS:
        target = folder / INT8 / f"{graph}.onnx"
        quantize_graph(folder / f"{graph}.onnx", target, crops)
        print(f"{INT8}/{target.name}: {target.stat().st_size / 2**20:.1f} MiB")


def check(
    model: AiATrack, facts: GraphFacts, size: int, folder: Path, tolerance: float = TOLERANCE
) -> None:
    """Compare the files with the network as trained; RuntimeError if they differ too much."""
    from lib.tools.onnx_check import graph_differences

    differences = graph_differences(OnnxNetwork(folder, "cpu"), model, size, facts.ensemble)
    print(f"differences to the network in PyTorch, relative ({tolerance:g} is allowed):")
    print("  " + ", ".join(f"{name} {value:.1e}" for name, value in differences.items()))
    if wrong := [name for name, value in differences.items() if not value <= tolerance]:
        raise RuntimeError(f"the files would not compute what PyTorch does: {', '.join(wrong)}")


def check_sequence(args: argparse.Namespace, out: Path) -> None:
    """Track a clip with PyTorch and with the files; RuntimeError if their boxes differ too much."""
    from lib.tools.onnx_check import BOX_TOLERANCE, compare_tracking

    hyper = args.hyper
    trackers = (
        load_tracker(args.param, args.checkpoint, args.dataset, "cpu", hyper=hyper),
        load_tracker(args.param, None, args.dataset, "cpu", hyper=hyper, backend="onnx", onnx=out),
    )
    with open_source(args.check_sequence) as source:
        result = compare_tracking(trackers, itertools.islice(source, args.frames), args.init)
    torch_ms, onnx_ms = result.milliseconds
    print(
        f"{result.frames} frames of {source.name}: boxes differ by {result.worst:.4f} pixels at "
        f"most, in frame {result.frame} ({BOX_TOLERANCE:g} is allowed)\n"
        f"a frame: PyTorch {torch_ms:.1f} ms, ONNX Runtime {onnx_ms:.1f} ms (medians); "
        f"ONNX Runtime is {result.ratio:.2f} times as fast"
    )
    if not result.worst <= BOX_TOLERANCE:
        raise RuntimeError("ONNX Runtime's boxes are not PyTorch's")


def main() -> int:
    args = parse_arguments()
    args.hyper = parse_hyper(args.hyper)
    out = args.out or default_folder(args.param)
    folders = [out, out / INT8] if args.int8 else [out]
    files = [folder / f"{graph}.onnx" for folder in folders for graph in INPUTS]
    check_outputs(files, overwrite=args.overwrite)
    write_checked(args, out)
    print(f"written: {out}")
    if args.check_sequence:
        check_sequence(args, out)
    return 0


if __name__ == "__main__":
    run_program(main)
