"""Where training data lie: AIATRACK_<SET>_DIR, lib/train/admin/local.py, AIATRACK_DATA, or ./data.

Used by lib/train/data/sampler.py to open data sets; each path comes with the setting that gave it.
"""

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
    """Find a data set's folder, or the LMDB file beside where the folder would be.

    Args:
        setting: a key of FOLDERS.

    Raises:
        KeyError: another name.
    """
    found = data_path(setting, FOLDERS[setting], local)
    packed = packed_path(found.path)
    return found._replace(path=packed) if packed.exists() and not found.path.exists() else found
