"""The tracker with its network in ONNX Runtime; everything else is that of aiatrack.py.

`tracking/export_onnx.py` writes the files that onnx_network.py reads.
"""

from pathlib import Path

import torch
from torch import Tensor

from lib.config.aiatrack.config import load_config, recipe_name
from lib.models.aiatrack.onnx.graphs import network_settings
from lib.models.aiatrack.onnx.session import OnnxNetwork
from lib.models.aiatrack.transformer import References
from lib.test.parameter.aiatrack import make_params
from lib.test.tracker.aiatrack import AiATrackTracker, NetworkOutput
from lib.test.tracker.memory import stack_references, unbind_references
from lib.utils.paths import PROJECT_ROOT


class OnnxTracker(AiATrackTracker):
    """Follows one target; `model` is an `OnnxNetwork`. Of several targets one is tracked at a
    time."""

    def _memorize_first(self, image: Tensor, mask: Tensor, box_crop: Tensor) -> References:
        """As the base."""
        return self.model.memorize(image, mask, box_crop)

    def _search(
        self, image: Tensor, mask: Tensor, first: References, recent: References
    ) -> NetworkOutput:
        """As the base; what was found holds the frames' own references already."""
        count = len(image)
        split = zip(
            *(unbind_references(x, count) for x in (image, mask, first, recent)), strict=True
        )
        return stack_references([NetworkOutput(*self.model.track(*row)) for row in split])

    def _memorize(self, found: NetworkOutput, rows: list[int]) -> list[References]:
        """As the base."""
        own = unbind_references(found.encoded, len(found.box_crop))
        return [own[i] for i in rows]


def default_folder(config: str | Path) -> Path:
    """Where a recipe's files are written and looked for unless said otherwise."""
    return PROJECT_ROOT / "checkpoints" / "onnx" / "aiatrack" / recipe_name(config)


def load_onnx_tracker(
    config: str | Path,
    dataset: str,
    device: str,
    *,
    folder: str | Path | None = None,
    hyper: tuple[int, int, float] | None = None,
) -> OnnxTracker:
    """Make a tracker from exported files.

    Args:
        config, dataset, hyper: see `lib.test.tracker.load.load_tracker`.
        device: "auto", "cpu", "cuda" or "cuda:<index>", where ONNX Runtime computes.
        folder: with memorize.onnx and track.onnx; None: `default_folder`.

    Raises:
        FileNotFoundError, ConfigError, OnnxError, ValueError, RuntimeError: what is wrong with
            which argument.
    """
    cfg = load_config(config)
    params = make_params(cfg, dataset, hyper)
    network = OnnxNetwork(folder or default_folder(config), str(device))
    network.check_fits(recipe_name(config), network_settings(cfg), params.ensemble)
    return OnnxTracker(network, params, torch.device("cpu"))
