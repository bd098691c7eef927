"""What a result came from, so that results of different origin never pass for each other."""

import hashlib
import json
import platform
from pathlib import Path

import torch

from lib.config.aiatrack.config import load_config
from lib.test.evaluation.results import Provenance
from lib.test.parameter.aiatrack import find_checkpoint
from lib.test.tracker.load import TrackerSpec, choose_device
from lib.utils.paths import PROJECT_ROOT

# The code that decides a box; the rest of the project may change without making results stale.
CODE = ("lib/config", "lib/models", "lib/test/parameter", "lib/test/tracker", "lib/utils")


def make_provenance(spec: TrackerSpec) -> Provenance:
    """Describe everything that decides the boxes of a run, as plain JSON values.

    Raises:
        FileNotFoundError: no such recipe or checkpoint.
    """
    cfg = load_config(spec.config)
    checkpoint = Path(spec.checkpoint or find_checkpoint(cfg, Path(spec.config).stem))
    if not checkpoint.is_file():
        raise FileNotFoundError(f"no checkpoint at {checkpoint}")
    device = choose_device(spec.device)
    is_gpu = device.type == "cuda"
    return {
        "checkpoint": _digest([checkpoint]),
        "config": hashlib.sha256(json.dumps(cfg, sort_keys=True).encode()).hexdigest()[:16],
        "dataset": spec.dataset,
        "hyper": list(spec.hyper) if spec.hyper else None,
        "code": _digest(
            sorted(f for folder in CODE for f in (PROJECT_ROOT / folder).rglob("*.py"))
        ),
        "device": torch.cuda.get_device_name(device) if is_gpu else f"cpu {platform.machine()}",
        "precision": "fp32",
        "pooling": spec.pooling,
        "plain": spec.plain,
        "torch": torch.__version__,
    }


def _digest(files: list[Path]) -> str:
    """Short SHA-256 of the contents of files, one after another."""
    digest = hashlib.sha256()
    for path in files:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]
