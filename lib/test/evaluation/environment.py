"""Where test data are and results go: environment, local.py, defaults (lib/utils/paths.py)."""

from pathlib import Path

from lib.test.evaluation import local
from lib.utils.paths import PROJECT_ROOT, DataPath, configured_path, data_path

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
    configured = configured_path("results", local)
    return configured.path if configured else PROJECT_ROOT / "test" / "tracking_results"
