"""Where data sets are: environment, local.py, or the default root, and which of them chose it.

The look-up of lib/train/admin/environment.py and lib/test/evaluation/environment.py.
"""

import os
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

PROJECT_ROOT = Path(__file__).resolve().parents[2]


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
        return "Set that, or put the data there; docs/data.md shows the layout and all settings."


def configured_path(setting: str, local: ModuleType) -> DataPath | None:
    """The path in AIATRACK_<SETTING>_DIR or, failing that, in `<setting>_dir` of local.py.

    Args:
        setting: lower-case name, such as "otb".
        local: the module local.py.

    Raises:
        ValueError: the one or the other is an empty text.
    """
    variable = f"AIATRACK_{setting.upper()}_DIR"
    name = local.__name__.replace(".", "/") + ".py"
    return _chosen(os.environ.get(variable), f"{variable} in the environment") or _chosen(
        getattr(local, f"{setting}_dir", None), f"{setting}_dir in {name}"
    )


def _chosen(value: str | None, source: str) -> DataPath | None:
    """The path of a setting, None where it is not set; ValueError: it is set to nothing."""
    if value is None:
        return None
    if not str(value).strip():
        raise ValueError(f"{source} is empty; give a folder, or leave it unset")
    return DataPath(Path(value).expanduser(), source)


def data_path(setting: str, folder: str, local: ModuleType) -> DataPath:
    """Resolve one data set's folder: as configured, else below the common root.

    The root is AIATRACK_DATA or <project>/data; `folder` is the data set's usual name in it, such
    as "OTB100".
    """
    if configured := configured_path(setting, local):
        return configured
    variable = f"AIATRACK_{setting.upper()}_DIR"
    source = f"AIATRACK_DATA in the environment; or set {variable}"
    if root := _chosen(os.environ.get("AIATRACK_DATA"), source):
        return root._replace(path=root.path / folder)
    source = f"the default root ./data; or set AIATRACK_DATA or {variable}"
    return DataPath(PROJECT_ROOT / "data" / folder, source)
