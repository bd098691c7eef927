"""One call from a recipe's name to a tracker that is ready for a video."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.cli.progress import saying
from lib.config.aiatrack.config import recipe_name
from lib.test.tracker.options import TrackerOptions

if TYPE_CHECKING:
    from lib.test.tracker.reference_tracker import ReferenceTracker


def load_tracker(
    config: str | Path = "baseline",
    checkpoint: str | Path | None = None,
    dataset: str = "otb",
    device: Any = "auto",
    *,
    hyper: tuple[int, int, float] | None = None,
    pooling: str = "closed_form",
    plain: bool = False,
    precision: str = "fp32",
    compile: bool = False,  # noqa: A002 - what the program's flag and torch call it
    graph: bool = False,
    calibration: str | Path | None = None,
    backend: str = "torch",
    onnx: str | Path | None = None,
    lost_below: float | None = None,
) -> "ReferenceTracker":
    """Make a tracker.

    Args:
        config: a recipe's name in experiments/aiatrack, or the path of a YAML file.
        checkpoint: .pth.tar, plain state dict or .safetensors; None: see `find_checkpoint`.
        dataset: whose TEST.HYPER to use, in any case; unknown names take DEFAULT.
        device: "auto" (a CUDA GPU if there is one, else the CPU), a torch device or its name.
        hyper: (capacity, ensemble, threshold of 2 * IoU - 1) instead of the recipe's.
        pooling: "closed_form", or "cuda" for the kernels that `install.sh --cuda` builds.
        plain: the network as trained, not optimized for speed; boxes agree within 0.05 pixels.
        precision: "fp32"; other boxes: "bf16" (a GPU, or a CPU with bf16 instructions), "fp16" (a
            GPU), "int8" (a CPU with VNNI: int8 backbone, bf16 behind it).
        compile: torch.compile, with CUDA graphs on a GPU; takes a minute or two the first time.
        graph: a frame as one CUDA graph (a GPU), without compiling anything.
        calibration: see `calibration_crops`, on which int8 finds its scales.
        backend: "torch", or "onnx" for the files of tracking/export_onnx.py in ONNX Runtime, which
            hold the weights and take none of the options from `pooling` to `calibration`.
        onnx: the folder of those files; None: checkpoints/onnx/aiatrack/<config>.
        lost_below: scores below this, in [0, 1], count as lost; None: the recipe's TEST.LOST_BELOW.

    Raises:
        FileNotFoundError, ConfigError, CheckpointError, ValueError, RuntimeError: what is wrong.
    """
    return make_tracker(TrackerOptions(**locals()))


def make_tracker(options: TrackerOptions) -> "ReferenceTracker":
    """Make a tracker; see `load_tracker`. Only the library that computes is imported."""
    with saying(f"making the network ready ({recipe_name(options.config)})"):
        if options.backend == "onnx":
            from lib.test.tracker.onnx_tracker import load_onnx_tracker

            return load_onnx_tracker(options)
        from lib.test.tracker.prepare import load_torch_tracker

        return load_torch_tracker(options)
