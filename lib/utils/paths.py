"""Where data sets lie: environment, local.py, or the default root, and which of them said so.

Used by lib/train/admin/environment.py and lib/test/evaluation/environment.py.
"""

import os
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

PROJECT_ROOT = Path(__file__).resolve().parents[2]


class DataPath(NamedTuple):
    """A folder and the setting that chose it."""

    path: Path
    source: str  # for messages: "AIATRACK_OTB_DIR", "lib/test/evaluation/local.py: otb_dir", ...

    def require(self, what: str) -> Path:
        """Return the path if it is a folder.

        Raises:
            FileNotFoundError: names the folder, the setting and how to change it.
        """
        if self.path.is_dir():
            return self.path
        raise FileNotFoundError(
            f"{what}: no folder {self.path} (from {self.source}). {self.hint()}"
        )

    def hint(self) -> str:
        """How to point somewhere else."""
        return "Set that, or put the data there; README, 'Data', shows the layout and all settings."


def data_path(setting: str, folder: str, local: ModuleType) -> DataPath:
    """Resolve one data set's folder.

    The first of these that is set: AIATRACK_<SETTING>_DIR in the environment; `<setting>_dir` in
    local.py; AIATRACK_DATA/<folder>; <project>/data/<folder>.

    Args:
        setting: lower-case name, such as "otb".
        folder: the data set's usual folder name, such as "OTB100".
        local: the module local.py.
    """
    variable = f"AIATRACK_{setting.upper()}_DIR"
    if value := os.environ.get(variable):
        return DataPath(Path(value).expanduser(), f"{variable} in the environment")
    if value := getattr(local, f"{setting}_dir", None):
        name = local.__name__.replace(".", "/") + ".py"
        return DataPath(Path(value).expanduser(), f"{setting}_dir in {name}")
    if value := os.environ.get("AIATRACK_DATA"):
        return DataPath(
            Path(value).expanduser() / folder,
            f"AIATRACK_DATA in the environment; or set {variable}",
        )
    source = f"the default root ./data; or set AIATRACK_DATA or {variable}"
    return DataPath(PROJECT_ROOT / "data" / folder, source)
