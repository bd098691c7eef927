"""Where test data lies and results go: environment variables, local.py, defaults.

Neighbours: lib/utils/paths.py resolves, datasets.py and results.py ask.
"""

import os
from pathlib import Path

from lib.test.evaluation import local
from lib.utils.paths import PROJECT_ROOT, DataPath, data_path

# Test set -> (setting, usual folder name).
FOLDERS = {
    "otb": ("otb", "OTB100"),
    "nfs": ("nfs", "NFS30"),
    "uav": ("uav", "UAV123"),
    "lasot": ("lasot", "LaSOT"),
    "lasot_ext": ("lasot_ext", "LaSOT_extension_subset"),
    "trackingnet": ("trackingnet", "TrackingNet"),
    "got10k_test": ("got10k", "GOT10k"),
    "got10k_val": ("got10k", "GOT10k"),
    "demo": ("demo", "demo"),
    "own": ("own", "own"),
}


def dataset_path(dataset: str) -> DataPath:
    """Folder of a test set, and the setting that chose it."""
    setting, folder = FOLDERS[dataset]
    return data_path(setting, folder, local)


def results_root() -> Path:
    """Folder of all tracking results: AIATRACK_RESULTS_DIR, local.py, or test/tracking_results."""
    chosen = os.environ.get("AIATRACK_RESULTS_DIR") or local.results_dir
    return Path(chosen).expanduser() if chosen else PROJECT_ROOT / "test" / "tracking_results"
