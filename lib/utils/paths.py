"""Where data sets are: environment, local.py, or the default root, and which of them chose it.

The look-up of lib/train/admin/environment.py and lib/test/evaluation/environment.py. Names of
checkpoints are here too: who looks for one need not read it, and so imports no torch.
"""

import os
import re
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

PROJECT_ROOT = Path(__file__).resolve().parents[2]
EPOCH_FILE = "AIATRACK_ep{:04d}.pth.tar"  # name by epoch; the released files have it too
_EPOCH_FILE = re.compile(r"AIATRACK_ep(\d+)\.pth\.tar")


class DataPath(NamedTuple):
    """A folder and the setting that chose it."""

    path: Path
    source: str  # for messages: "otb_dir in lib/test/evaluation/local.py", ...

    def require(self, what: str) -> Path:
        """Return the path if it is a folder.

        Raises:
            FileNotFoundError: names the folder, the setting and how to change it.
        """
        if self.path.is_dir():
            return self.path
        text = f"{what}: no folder {self.path} (from {self.source}). {self.hint()}"
        raise FileNotFoundError(text)

    def hint(self) -> str:
        """How to point somewhere else."""
        return "Set that, or put the data there; README, 'Data', shows the layout and all settings."


def configured_path(setting: str, local: ModuleType) -> DataPath | None:
    """The path in AIATRACK_<SETTING>_DIR or, failing that, in `<setting>_dir` of local.py.

    Args:
        setting: lower-case name, such as "otb".
        local: the module local.py.
    """
    variable = f"AIATRACK_{setting.upper()}_DIR"
    if value := os.environ.get(variable):
        return DataPath(Path(value).expanduser(), f"{variable} in the environment")
    if value := getattr(local, f"{setting}_dir", None):
        name = local.__name__.replace(".", "/") + ".py"
        return DataPath(Path(value).expanduser(), f"{setting}_dir in {name}")
    return None


def data_path(setting: str, folder: str, local: ModuleType) -> DataPath:
    """Resolve one data set's folder: as configured, else below the common root.

    The root is AIATRACK_DATA or <project>/data; `folder` is the data set's usual name in it, such
    as "OTB100".
    """
    if configured := configured_path(setting, local):
        return configured
    variable = f"AIATRACK_{setting.upper()}_DIR"
    if root := os.environ.get("AIATRACK_DATA"):
        source = f"AIATRACK_DATA in the environment; or set {variable}"
        return DataPath(Path(root).expanduser() / folder, source)
    source = f"the default root ./data; or set AIATRACK_DATA or {variable}"
    return DataPath(PROJECT_ROOT / "data" / folder, source)


def epoch_of(path: Path) -> int:
    """Epoch of a checkpoint that EPOCH_FILE names."""
    return int(path.name.removeprefix("AIATRACK_ep").partition(".")[0])


def checkpoints_newest_first(folder: str | Path) -> list[Path]:
    """List the checkpoints of a folder that EPOCH_FILE names, the highest epoch first."""
    files = [path for path in Path(folder).glob("*.pth.tar") if _EPOCH_FILE.fullmatch(path.name)]
    return sorted(files, key=epoch_of, reverse=True)
