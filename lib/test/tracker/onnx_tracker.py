"""The tracker with its network in ONNX Runtime; everything else is that of aiatrack.py."""

from pathlib import Path

import torch
from torch import Tensor

from lib.config.aiatrack.config import load_config, recipe_name
from lib.models.aiatrack.onnx.graphs import network_settings
from lib.models.aiatrack.onnx.session import OnnxNetwork
from lib.models.aiatrack.transformer import References
from lib.test.parameter.aiatrack import make_params
from lib.test.tracker.aiatrack import NetworkOutput, ReferenceTracker
from lib.test.tracker.memory import unbind_references
from lib.test.tracker.options import TrackerOptions
from lib.utils.paths import PROJECT_ROOT


class OnnxTracker(ReferenceTracker[OnnxNetwork]):
    """Follows one target; of a batch one target after the other passes the network."""

    def _fingerprint(self) -> str:
        return self.model.digest

    def _memorize_first(self, image: Tensor, mask: Tensor, box_xywh_crop: Tensor) -> References:
        return self.model.memorize(image, mask, box_xywh_crop)

    def _search(
        self, image: Tensor, mask: Tensor, first: References, recent: References
    ) -> NetworkOutput:
        count = len(image)
        references = (unbind_references(first, count), unbind_references(recent, count))
        rows = zip(image.split(1), mask.split(1), *references, strict=True)
        boxes, scores, memorized = zip(*(self.model.track(*row) for row in rows), strict=True)
        box_xywh_crop, score = torch.cat(boxes), torch.cat(scores)
        return NetworkOutput(box_xywh_crop, score, lambda indices: [memorized[i] for i in indices])


def default_folder(config: str | Path) -> Path:
    """Where a recipe's files are written and looked for unless said otherwise."""
    return PROJECT_ROOT / "checkpoints" / "onnx" / "aiatrack" / recipe_name(config)


def load_onnx_tracker(options: TrackerOptions) -> OnnxTracker:
    """Make a tracker from exported files; see `load_tracker`. Raises OnnxError too."""
    cfg = load_config(options.config)
    params = make_params(cfg, options.dataset, options.hyper, options.lost_below)
    network = OnnxNetwork(options.onnx or default_folder(options.config), str(options.device))
    network.check_fits(recipe_name(options.config), network_settings(cfg), params.ensemble)
    return OnnxTracker(network, params, torch.device("cpu"))
