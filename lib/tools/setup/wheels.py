"""Packages that are missing here, installed from wheels beside the project, without a network."""

import importlib.util
import subprocess
import sys
from pathlib import Path

MODULES = {  # where names differ
    "opencv-python": "cv2",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "pytest-xdist": "xdist",
}


def install_missing(wheels: str | Path, target: str | Path, requirements: str | Path) -> str:
    """Install what cannot be imported and has a wheel; the rest stays missing.

    Args:
        wheels: folder of .whl files; it need not exist.
        target: folder to install into, which is to be on the module path.
        requirements: file of requirements, one a line.

    Returns:
        One line: what was installed and what is still missing.

    Raises:
        RuntimeError: pip failed; the last line that it wrote.
    """
    missing = missing_packages(Path(requirements).read_text())
    files = [path.name.lower() for path in Path(wheels).glob("*.whl")]
    names = {file.split("-")[0].replace("_", "-") for file in files}
    here = [name for name in missing if name in names]
    if here:
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
        pip += ["--find-links", str(wheels), "--target", str(target), *here]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"pip: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    still = [name for name in missing if name not in names]
    return f"installed: {', '.join(here) or 'nothing'}; missing: {', '.join(still) or 'nothing'}"


def missing_packages(requirements: str) -> list[str]:
    """Names of those among lines like "timm>=1.0.11,<2" that cannot be imported here."""
    lines = (line.partition("#")[0].strip() for line in requirements.splitlines())
    names = [line.partition(">")[0].partition("=")[0].strip() for line in lines if line]
    return [n for n in names if not _is_importable(MODULES.get(n, n.replace("-", "_")))]


def _is_importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
