"""What a result came from, so that results of different origin never pass for each other."""

import hashlib
import json
import platform
from pathlib import Path

import torch
from easydict import EasyDict

from lib.config.aiatrack.config import load_config, recipe_name
from lib.models.aiatrack.onnx.session import choose_providers, import_onnxruntime, onnx_files
from lib.test.evaluation.results import Provenance
from lib.test.parameter.aiatrack import find_checkpoint
from lib.test.tracker.load import TrackerSpec
from lib.test.tracker.onnx_tracker import default_folder
from lib.utils.device import choose_device
from lib.utils.paths import PROJECT_ROOT

# The code that decides a box; the rest of the project may change without making results stale.
CODE = ("lib/config", "lib/models", "lib/test/parameter", "lib/test/tracker", "lib/utils")


def make_provenance(spec: TrackerSpec, *, batched: bool = False) -> Provenance:
    """Describe everything that decides the boxes of a run, as plain JSON values.

    Args:
        spec: what is loaded.
        batched: several sequences share a pass of the network. Boxes then depend, within rounding,
            on how many and which: that is not recorded, so results of any batch size above 1 count
            for each other, but not for those made one by one, which repeat to the bit on a CPU.

    Raises:
        FileNotFoundError: no such recipe or checkpoint.
    """
    cfg = load_config(spec.config)
    return {
        "checkpoint": _digest(_weight_files(spec, cfg)),
        "config": hashlib.sha256(json.dumps(cfg, sort_keys=True).encode()).hexdigest()[:16],
        "dataset": spec.dataset,
        "hyper": list(spec.hyper) if spec.hyper else None,
        "code": _digest(
            sorted(f for folder in CODE for f in (PROJECT_ROOT / folder).rglob("*.py"))
        ),
        "device": _device_name(spec),
        "backend": spec.backend,
        "precision": spec.precision,
        "compile": spec.compile,
        "calibration": spec.calibration,
        "pooling": spec.pooling,
        "plain": spec.plain,
        "batched": batched,
        "torch": torch.__version__,
    }


def _weight_files(spec: TrackerSpec, cfg: EasyDict) -> list[Path]:
    """The files that hold the weights of a run."""
    if spec.backend == "onnx":
        return list(onnx_files(spec.onnx or default_folder(spec.config)).values())
    checkpoint = Path(spec.checkpoint or find_checkpoint(cfg, recipe_name(spec.config)))
    if not checkpoint.is_file():
        raise FileNotFoundError(f"no checkpoint at {checkpoint}")
    return [checkpoint]


def _device_name(spec: TrackerSpec) -> str:
    """What computes; in ONNX Runtime with its version."""
    if spec.backend == "onnx":
        runtime = import_onnxruntime()
        provider, *_ = choose_providers(spec.device, runtime.get_available_providers())
        name = provider if isinstance(provider, str) else provider[0]
        return f"{name} {runtime.__version__} {platform.machine()}"
    device = choose_device(spec.device)
    is_gpu = device.type == "cuda"
    return torch.cuda.get_device_name(device) if is_gpu else f"cpu {platform.machine()}"


def _digest(files: list[Path]) -> str:
    """Short SHA-256 of the contents of files, one after another."""
    digest = hashlib.sha256()
    for path in files:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]
