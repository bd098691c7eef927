"""Where training data are: environment, local.py, defaults (lib/utils/paths.py)."""

from lib.io.store import packed_path
from lib.train.admin import local
from lib.utils.paths import DataPath, data_path

FOLDERS = {  # setting: folder under the common root
    "lasot": "LaSOT",
    "got10k": "GOT10k",
    "trackingnet": "TrackingNet",
    "coco": "COCO",
    "own_video": "own_video",
    "own_images": "own_images",
    "demo": "demo",
    "photographs": "photographs",
}


def find_data(setting: str) -> DataPath:
    """Find the folder of a setting in FOLDERS, or the LMDB file beside where it would be."""
    folder = data_path(setting, FOLDERS[setting], local)
    packed = packed_path(folder.path)
    return folder._replace(path=packed) if packed.exists() and not folder.path.exists() else folder
