"""The tracker with its network in ONNX Runtime; everything else is that of reference_tracker.py."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lib.config.aiatrack.config import load_config, recipe_name
from lib.models.aiatrack.onnx.contract import network_settings
from lib.models.aiatrack.onnx.session import OnnxNetwork
from lib.models.aiatrack.references import References
from lib.test.parameter.aiatrack import make_params
from lib.test.tracker.memory import ReferenceMemory
from lib.test.tracker.options import TrackerOptions
from lib.test.tracker.reference_tracker import NetworkOutput, ReferenceTracker, SearchRegion
from lib.utils.paths import PROJECT_ROOT


class OnnxTracker(ReferenceTracker[OnnxNetwork]):
    """Follows one target; of a batch one target after the other passes the network."""

    def _fingerprint(self) -> str:
        return self.model.digest

    def _memorize_first(self, region: SearchRegion, box_xywh_crop: np.ndarray) -> References:
        return self.model.memorize(*_arrays(region), box_xywh_crop)

    def _search(
        self, regions: Sequence[SearchRegion], memories: Sequence[ReferenceMemory]
    ) -> NetworkOutput:
        found = [
            self.model.track(*_arrays(region), memory.first, memory.recent)
            for region, memory in zip(regions, memories, strict=True)
        ]
        rows = np.concatenate([np.concatenate([box, score], 1) for box, score, _ in found])
        own = [references for _, _, references in found]
        return NetworkOutput(rows.astype(np.float64), lambda indices: [own[i] for i in indices])


def _arrays(region: SearchRegion) -> tuple[np.ndarray, np.ndarray]:
    """What a window shows, (1, 3, S, S) float32 in [0, 1], and its (1, S, S) mask."""
    pixels = region.cut.image.transpose(2, 0, 1)[None].astype(np.float32, order="C")
    return pixels / np.float32(255), region.cut.mask[None]


def default_folder(config: str | Path) -> Path:
    """Where a recipe's files are written and looked for unless said otherwise."""
    return PROJECT_ROOT / "checkpoints" / "onnx" / "aiatrack" / recipe_name(config)


def load_onnx_tracker(options: TrackerOptions) -> OnnxTracker:
    """Make a tracker from exported files; see `load_tracker`. Raises OnnxError too."""
    cfg = load_config(options.config)
    params = make_params(cfg, options.dataset, options.hyper, options.lost_below)
    network = OnnxNetwork(options.onnx or default_folder(options.config), str(options.device))
    network.check_fits(recipe_name(options.config), network_settings(cfg), params.ensemble)
    return OnnxTracker(network, params)
