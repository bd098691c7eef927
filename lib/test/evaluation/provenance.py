"""What a result came from, so that results of different origin never pass for each other."""

import hashlib
import json
import platform
from pathlib import Path

from easydict import EasyDict

from lib.config.aiatrack.config import load_config, recipe_name
from lib.models.aiatrack.onnx.session import choose_providers, import_onnxruntime, onnx_files
from lib.test.evaluation.results import Provenance
from lib.test.parameter.aiatrack import find_checkpoint
from lib.test.tracker.calibration import calibration_files
from lib.test.tracker.onnx_tracker import default_folder
from lib.test.tracker.options import TrackerOptions
from lib.utils.device import choose_device, device_name
from lib.utils.paths import PROJECT_ROOT

BOX_CODE = (
    "lib/config",
    "lib/models",
    "lib/test/parameter",
    "lib/test/tracker",
    *(f"lib/utils/{name}.py" for name in ("box_ops", "checkpoint", "crop", "image")),
)


def make_provenance(options: TrackerOptions, *, batched: bool = False) -> Provenance:
    """Describe everything that decides the boxes of a run, as plain JSON values.

    Args:
        batched: several sequences share a pass of the network. Boxes then depend, within rounding,
            on how many and which: that is not recorded, so results of any batch size above 1 count
            for each other, but not for those made one by one, which repeat to the bit on a CPU.

    Raises:
        FileNotFoundError: no such recipe or checkpoint.
    """
    cfg, images = load_config(options.config), options.calibration
    as_given = ("dataset", "backend", "precision", "compile", "pooling", "plain")
    return {name: getattr(options, name) for name in as_given} | {
        "checkpoint": digest(_weight_files(options, cfg)),
        "config": hashlib.sha256(json.dumps(cfg, sort_keys=True).encode()).hexdigest()[:16],
        "hyper": list(options.hyper) if options.hyper else None,
        "code": digest(code_files(options)),
        "device": _device_name(options),
        "calibration": digest(calibration_files(images)) if images else None,
        "batched": batched,
        "torch": _torch_version() if options.backend == "torch" else None,
    }


def _torch_version() -> str:
    import torch

    return torch.__version__


def code_files(options: TrackerOptions, root: Path = PROJECT_ROOT) -> list[Path]:
    """The code that can change a box; the rest may change without making results stale."""
    places = list(BOX_CODE)
    if options.precision == "int8" and not options.calibration:
        places.append("lib/synthetic")  # images to calibrate with
    files = [f for place in places for f in (root / place, *(root / place).rglob("*.py"))]
    return sorted(file for file in files if file.is_file())


def _weight_files(options: TrackerOptions, cfg: EasyDict) -> list[Path]:
    if options.backend == "onnx":
        return list(onnx_files(options.onnx or default_folder(options.config)).values())
    checkpoint = Path(options.checkpoint or find_checkpoint(cfg, recipe_name(options.config)))
    if not checkpoint.is_file():
        raise FileNotFoundError(f"no checkpoint at {checkpoint}")
    return [checkpoint]


def _device_name(options: TrackerOptions) -> str:
    if options.backend == "onnx":
        runtime = import_onnxruntime()
        provider, *_ = choose_providers(str(options.device), runtime.get_available_providers())
        name = provider if isinstance(provider, str) else provider[0]
        return f"{name} {runtime.__version__} {platform.machine()}"
    name = device_name(choose_device(options.device))
    return f"cpu {platform.machine()}" if name == "cpu" else name


def digest(files: list[Path]) -> str:
    """Short SHA-256 of the contents of files, one after another."""
    value = hashlib.sha256()
    for path in files:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                value.update(block)
    return value.hexdigest()[:16]
