"""Write the tracker's network as two ONNX files, and check them in ONNX Runtime.

    python tracking/export_onnx.py --param baseline
    python tracking/export_onnx.py --param demo --dataset lasot --out onnx/demo_lasot
    python tracking/export_onnx.py --check-sequence clip.mp4 --init 200,150,60,80 --frames 100

memorize.onnx turns a frame and its box into a reference's keys and values; track.onnx turns a frame
and references into box, score and the frame's own keys and values. Shapes are static: one target,
and as many short-term references as TEST.HYPER of --dataset, or --hyper, says. Inputs and outputs
are explained in lib/models/aiatrack/onnx/graphs.py; the files need nothing but an ONNX runtime.

Where an output differs from PyTorch's, nothing is written and the exit status is 1. With
--check-sequence a clip is tracked by both as well: boxes must agree within 0.05 pixels.
"""

import argparse
import itertools
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.utils.progress import saying

with saying("loading PyTorch"):
    from lib.config.aiatrack.config import load_config, recipe_name
    from lib.models.aiatrack.aiatrack import AiATrack
    from lib.models.aiatrack.build import build_aiatrack
    from lib.models.aiatrack.onnx import export
    from lib.models.aiatrack.onnx.graphs import GRAPHS, GraphFacts, network_settings
    from lib.models.aiatrack.onnx.session import OnnxNetwork, import_onnxruntime
    from lib.models.aiatrack.weights import load_weights
    from lib.test.evaluation.datasets import dataset_key
    from lib.test.evaluation.provenance import make_provenance
    from lib.test.parameter.aiatrack import find_checkpoint, make_params, parse_hyper
    from lib.test.tracker.load import load_tracker
    from lib.test.tracker.onnx_tracker import default_folder
    from lib.test.tracker.options import TrackerOptions
    from lib.tools.onnx_check import BOX_TOLERANCE, TOLERANCE, compare_tracking, graph_differences
    from lib.tools.video.sources import open_source
    from lib.utils.files import check_outputs
    from lib.utils.program import at_least, make_parser, parse_box, run_program


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--param", default="baseline", help="recipe: a name or a .yaml path (default: baseline)")
    add("--checkpoint", help="weights; default: the recipe's under checkpoints/")
    add("--out", type=Path, help="folder (default: checkpoints/onnx/aiatrack/<param>)")
    whose = "whose number of references to take (default: otb)"
    add("--dataset", default="otb", type=dataset_key, help=whose)
    add("--hyper", help="capacity,ensemble,threshold instead of the recipe's, such as 100,3,0.7")
    add("--check-sequence", metavar="SOURCE", help="video, folder or pattern of images to track")
    add("--init", metavar="X,Y,W,H", type=parse_box, help="box in its first frame, pixels")
    add("--frames", type=at_least(2), default=100, help="how many of its frames (default: 100)")
    add("--overwrite", action="store_true", help="replace files that exist")
    args = parser.parse_args()
    if (args.check_sequence is None) != (args.init is None):
        parser.error("--check-sequence SOURCE and --init X,Y,W,H go together")
    return args


def read_network(args: argparse.Namespace) -> tuple[AiATrack, GraphFacts]:
    """The network as trained, and what the files will say of themselves."""
    hyper, cfg, name = parse_hyper(args.hyper), load_config(args.param), recipe_name(args.param)
    checkpoint = args.checkpoint or str(find_checkpoint(cfg, name))
    ensemble = make_params(cfg, args.dataset, hyper).ensemble
    model = build_aiatrack(cfg).eval()
    load_weights(model, checkpoint)
    options = TrackerOptions(args.param, checkpoint, args.dataset, "cpu", hyper=hyper, plain=True)
    return model, GraphFacts("", name, network_settings(cfg), ensemble, make_provenance(options))


def write_checked(args: argparse.Namespace, out: Path) -> None:
    """Export into a temporary folder, check, and only then put both files in their place."""
    export.require_packages()
    import_onnxruntime()
    model, facts = read_network(args)
    size = facts.settings["TEST.SEARCH_SIZE"]
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export", dir=out) as folder:
        export_both(model, facts, size, Path(folder))
        check(model, facts, size, Path(folder))
        for graph in GRAPHS:
            (Path(folder) / f"{graph}.onnx").replace(out / f"{graph}.onnx")


def export_both(model: AiATrack, facts: GraphFacts, size: int, folder: Path) -> None:
    fast = export.optimize_for_export(model)
    for graph, inputs in export.example_inputs(model, size, facts.ensemble).items():
        path = folder / f"{graph}.onnx"
        export.export_graph(fast, inputs, facts._replace(graph=graph), path)
        shapes = ", ".join(f"{name} {tuple(x.shape)}" for name, x in inputs.items())
        print(f"{path.name}: opset {export.OPSET}, {path.stat().st_size / 2**20:.1f} MiB; {shapes}")


def check(model: AiATrack, facts: GraphFacts, size: int, folder: Path) -> None:
    """Compare the files with the network as trained; RuntimeError if they differ too much."""
    differences = graph_differences(OnnxNetwork(folder, "cpu"), model, size, facts.ensemble)
    print(f"differences to the network in PyTorch, relative ({TOLERANCE:g} is allowed):")
    print("  " + ", ".join(f"{name} {value:.1e}" for name, value in differences.items()))
    if wrong := [name for name, value in differences.items() if not value <= TOLERANCE]:
        raise RuntimeError(f"the files would not compute what PyTorch does: {', '.join(wrong)}")


def check_sequence(args: argparse.Namespace, out: Path) -> None:
    """Track a clip with PyTorch and with the files; RuntimeError if their boxes differ too much."""
    hyper = parse_hyper(args.hyper)
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
    out = args.out or default_folder(args.param)
    check_outputs([out / f"{graph}.onnx" for graph in GRAPHS], overwrite=args.overwrite)
    write_checked(args, out)
    print(f"written: {out}")
    if args.check_sequence:
        check_sequence(args, out)
    return 0


if __name__ == "__main__":
    run_program(main)
