"""One call from a recipe's name to a tracker that is ready for a video."""

from functools import partial
from pathlib import Path

import numpy as np
import torch

from lib.config.aiatrack.config import load_config, recipe_name
from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.fast.compiled import compile_network
from lib.models.aiatrack.fast.factored import optimize_network
from lib.models.aiatrack.fast.precision import cast_network
from lib.models.aiatrack.fast.prepacked import prepack
from lib.models.aiatrack.fast.quantized import quantize_network
from lib.models.aiatrack.prroi_pool import load_cuda_pooling
from lib.models.aiatrack.weights import load_weights
from lib.test.parameter.aiatrack import TrackerParams, find_checkpoint, make_params
from lib.test.tracker.aiatrack import AiATrackTracker
from lib.test.tracker.calibration import calibration_crops
from lib.test.tracker.onnx_tracker import OnnxTracker, load_onnx_tracker
from lib.test.tracker.options import TrackerOptions
from lib.utils.device import choose_device
from lib.utils.progress import saying


def load_tracker(
    config: str | Path = "baseline",
    checkpoint: str | Path | None = None,
    dataset: str = "otb",
    device: str | torch.device = "auto",
    *,
    hyper: tuple[int, int, float] | None = None,
    pooling: str = "closed_form",
    plain: bool = False,
    precision: str = "fp32",
    compile: bool = False,  # noqa: A002 - what the program's flag and torch call it
    calibration: str | Path | None = None,
    backend: str = "torch",
    onnx: str | Path | None = None,
) -> AiATrackTracker | OnnxTracker:
    """Make a tracker.

    Args:
        config: a recipe's name in experiments/aiatrack, or the path of a YAML file.
        checkpoint: .pth.tar, plain state dict or .safetensors; None: see `find_checkpoint`.
        dataset: whose TEST.HYPER to use, in any case; unknown names take DEFAULT.
        device: "auto" (a CUDA GPU if there is one, else the CPU) or a torch device.
        hyper: (capacity, ensemble, threshold of 2 * IoU - 1) instead of the recipe's.
        pooling: "closed_form", or "cuda" for the kernels that `install.sh --cuda` builds.
        plain: the network as trained, not optimized for speed; boxes agree within 0.05 pixels.
        precision: "fp32"; other boxes: "bf16" (a GPU, or a CPU with bf16 instructions), "fp16" (a
            GPU), "int8" (a CPU with VNNI: int8 backbone, bf16 behind it).
        compile: torch.compile, with CUDA graphs on a GPU; takes a minute or two the first time.
        calibration: see `calibration_crops`, on which int8 finds its scales.
        backend: "torch", or "onnx" for the files of tracking/export_onnx.py in ONNX Runtime, which
            hold the weights and take none of the options from `pooling` to `calibration`.
        onnx: the folder of those files; None: checkpoints/onnx/aiatrack/<config>.

    Raises:
        FileNotFoundError, ConfigError, CheckpointError, ValueError, RuntimeError: what is wrong.
    """
    return make_tracker(TrackerOptions(**locals()))


def make_tracker(options: TrackerOptions) -> AiATrackTracker | OnnxTracker:
    """Make a tracker; see `load_tracker`."""
    with saying(f"making the network ready ({recipe_name(options.config)})"):
        return (load_onnx_tracker if options.backend == "onnx" else load_torch_tracker)(options)


def load_torch_tracker(options: TrackerOptions) -> AiATrackTracker:
    """Make a tracker with its network in PyTorch; see `load_tracker`."""
    cfg = load_config(options.config)
    params = make_params(cfg, options.dataset, options.hyper)
    device = choose_device(options.device)
    options.check_device(device)
    model = build_aiatrack(cfg)
    load_weights(model, options.checkpoint or find_checkpoint(cfg, recipe_name(options.config)))
    if options.pooling == "cuda":
        model.iou_head.pool = load_cuda_pooling()
    return AiATrackTracker(prepare_network(model, options, params, device), params, device)


def prepare_network(
    model: AiATrack, options: TrackerOptions, params: TrackerParams, device: torch.device
) -> AiATrack:
    """Make the network for a checked device; `model` itself if plain.

    Raises:
        FileNotFoundError, ValueError: nothing to calibrate with.
    """
    if options.plain:
        return model
    model = optimize_network(model)
    if options.precision == "int8":
        quantize_network(model, calibration_crops(params, options.calibration or None))
    elif options.precision != "fp32":
        cast_network(model, {"bf16": torch.bfloat16, "fp16": torch.float16}[options.precision])
    if device.type == "cpu" and not options.compile:
        prepack(model, winograd=options.precision == "fp32")
    if options.compile:
        tracker = AiATrackTracker(model, params, device)
        compile_network(model, device, partial(_track_once, tracker))
    return model


def _track_once(tracker: AiATrackTracker) -> None:
    frame = np.zeros((240, 320, 3), np.uint8)
    tracker.initialize(frame, [140, 100, 40, 40])
    tracker.track(frame)
