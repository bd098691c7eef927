"""One call from a recipe's name to a tracker that is ready for a video."""

from pathlib import Path
from typing import NamedTuple

import torch

from lib.config.aiatrack.config import load_config, recipe_name
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.prroi_pool import load_cuda_pooling
from lib.models.aiatrack.weights import load_weights
from lib.test.parameter.aiatrack import find_checkpoint, make_params
from lib.test.tracker.aiatrack import AiATrackTracker
from lib.test.tracker.modes import Mode, check_mode, prepare_network
from lib.test.tracker.onnx_tracker import load_onnx_tracker
from lib.utils.device import choose_device


class TrackerSpec(NamedTuple):
    """The arguments of `load_tracker`, to be sent to another process."""

    config: str = "baseline"
    checkpoint: str | None = None
    dataset: str = "otb"
    device: str = "auto"
    hyper: tuple[int, int, float] | None = None
    pooling: str = "closed_form"
    plain: bool = False
    precision: str = "fp32"
    compile: bool = False
    calibration: str | None = None
    backend: str = "torch"
    onnx: str | None = None

    def load(self) -> AiATrackTracker:
        """Make the tracker."""
        return load_tracker(**self._asdict())


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
) -> AiATrackTracker:
    """Make a tracker.

    Args:
        config: a recipe's name in experiments/aiatrack, or the path of a YAML file.
        checkpoint: a released checkpoint, a plain state dict or a .safetensors file; None takes
            checkpoints/train/aiatrack/<config>/AIATRACK_ep<TEST.EPOCH>.pth.tar.
        dataset: whose TEST.HYPER to use, in any case; unknown names take DEFAULT.
        device: "auto" (a CUDA GPU if there is one, else the CPU) or a torch device.
        hyper: (capacity, ensemble, threshold) instead of the recipe's; the threshold is on the
            head's own scale, 2 * IoU - 1.
        pooling: "closed_form", or "cuda" for the kernels that `install.sh --cuda` builds.
        plain: run the network as it was trained, layer by layer, instead of optimized for speed;
            boxes agree within 0.05 pixels.
        precision: "fp32"; "bf16" (a GPU, or a CPU with bf16 instructions); "fp16" (a GPU); "int8"
            (a CPU with VNNI: int8 backbone, bf16 behind it). Boxes differ but in fp32.
        compile: run through torch.compile, with CUDA graphs on a GPU; takes a minute or two the
            first time.
        calibration: a folder of images like those that will be tracked, for int8 to find its scales
            on; None composes some.
        backend: "torch", or "onnx" for the files of tracking/export_onnx.py in ONNX Runtime, which
            hold the weights and take none of the options from `pooling` to `calibration`.
        onnx: the folder of those files; None: checkpoints/onnx/aiatrack/<config>.

    Raises:
        FileNotFoundError, ConfigError, CheckpointError, ValueError, RuntimeError: what is wrong
            with which argument.
    """
    check_backend(backend, onnx, checkpoint, pooling, plain, precision, compile, calibration)
    if backend == "onnx":
        return load_onnx_tracker(config, dataset, str(device), folder=onnx, hyper=hyper)
    if pooling not in ("closed_form", "cuda"):
        raise ValueError(f"pooling must be 'closed_form' or 'cuda'; given: {pooling!r}")
    cfg = load_config(config)
    params = make_params(cfg, dataset, hyper)
    device = choose_device(device)
    mode = Mode(plain, precision, compile, str(calibration) if calibration else None)
    check_mode(mode, device)
    path = Path(checkpoint) if checkpoint else find_checkpoint(cfg, recipe_name(config))
    model = build_aiatrack(cfg)
    load_weights(model, path)
    if pooling == "cuda":
        model.iou_head.pool = load_cuda_pooling()
    return AiATrackTracker(prepare_network(model, mode, params, device), params, device)


def check_backend(backend: str, onnx: str | Path | None, *torch_only: object) -> None:
    """Refuse options of one backend for the other.

    Args:
        backend, onnx: see `load_tracker`.
        torch_only: its checkpoint, pooling, plain, precision, compile and calibration.

    Raises:
        ValueError: an unknown backend, or an option that it does not take.
    """
    if backend not in ("torch", "onnx"):
        raise ValueError(f"backend must be 'torch' or 'onnx'; given: {backend!r}")
    if backend == "torch" and onnx is not None:
        raise ValueError(f"a folder of ONNX files needs backend 'onnx'; given: {str(onnx)!r}")
    names = ("checkpoint", "pooling", "plain", "precision", "compile", "calibration")
    usual = TrackerSpec._field_defaults
    given = [n for n, value in zip(names, torch_only, strict=True) if value != usual[n]]
    if backend == "onnx" and given:
        raise ValueError(
            f"backend 'onnx' takes no {', '.join(given)}: the exported files settle that"
        )
