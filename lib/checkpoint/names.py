"""How checkpoints are called: who looks for one need not read it, and imports no torch."""

import re
from pathlib import Path

EPOCH_FILE = "AIATRACK_ep{:04d}.pth.tar"  # name by epoch; the released files have it too
_EPOCH_FILE = re.compile(r"AIATRACK_ep(\d+)\.pth\.tar")


def epoch_of(path: Path) -> int:
    """Epoch of a checkpoint that EPOCH_FILE names."""
    return int(path.name.removeprefix("AIATRACK_ep").partition(".")[0])


def checkpoints_newest_first(folder: str | Path) -> list[Path]:
    """List the checkpoints of a folder that EPOCH_FILE names, the highest epoch first."""
    files = [path for path in Path(folder).glob("*.pth.tar") if _EPOCH_FILE.fullmatch(path.name)]
    return sorted(files, key=epoch_of, reverse=True)
