"""One call from a recipe's name to a tracker that is ready for a video."""

from pathlib import Path
from typing import NamedTuple

import torch

from lib.config.aiatrack.config import load_config
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.inference import prepare_for_inference
from lib.models.aiatrack.prroi_pool import load_cuda_pooling
from lib.models.aiatrack.weights import load_weights
from lib.test.parameter.aiatrack import find_checkpoint, make_params
from lib.test.tracker.aiatrack import AiATrackTracker


class TrackerSpec(NamedTuple):
    """The arguments of `load_tracker`, to be sent to another process."""

    config: str = "baseline"
    checkpoint: str | None = None
    dataset: str = "otb"
    device: str = "auto"
    hyper: tuple[int, int, float] | None = None
    pooling: str = "closed_form"
    plain: bool = False

    def load(self) -> AiATrackTracker:
        """Make the tracker."""
        return load_tracker(*self[:4], hyper=self.hyper, pooling=self.pooling, plain=self.plain)


def load_tracker(
    config: str | Path = "baseline",
    checkpoint: str | Path | None = None,
    dataset: str = "otb",
    device: str | torch.device = "auto",
    *,
    hyper: tuple[int, int, float] | None = None,
    pooling: str = "closed_form",
    plain: bool = False,
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
        plain: run the network as it was trained, layer by layer, instead of rearranged for speed;
            boxes agree within 0.05 pixels.

    Raises:
        FileNotFoundError, ConfigError, CheckpointError, ValueError, RuntimeError: what is wrong
            with which argument.
    """
    if pooling not in ("closed_form", "cuda"):
        raise ValueError(f"pooling must be 'closed_form' or 'cuda'; given: {pooling!r}")
    cfg = load_config(config)
    params = make_params(cfg, dataset, hyper)
    device = choose_device(device)
    path = Path(checkpoint) if checkpoint else find_checkpoint(cfg, Path(config).stem)
    model = build_aiatrack(cfg)
    load_weights(model, path)
    if pooling == "cuda":
        model.iou_head.pool = load_cuda_pooling()
    model = model if plain else prepare_for_inference(model)
    return AiATrackTracker(model, params, device)


def choose_device(device: str | torch.device) -> torch.device:
    """Resolve "auto" and check that the device exists.

    Raises:
        ValueError: unknown, or not there on this machine.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        count = torch.cuda.device_count()
        raise ValueError(
            f"device {str(device)!r} cannot be used here ({str(error).splitlines()[0]}); "
            f"this machine has cpu{''.join(f', cuda:{i}' for i in range(count))}; 'auto' chooses"
        ) from error
    return chosen
