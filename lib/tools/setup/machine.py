"""What works on this machine and what does not, each finding with the command that mends it.

Each function looks at one thing and returns findings; nothing is printed or changed here.
Neighbours: setup_data.py looks at data sets, setup_weights.py at checkpoints, self_test.py at
numerics; tracking/check_setup.py prints the page.
"""

import importlib.metadata
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import torch

from lib.models.aiatrack.prroi_pool import load_cuda_pooling
from lib.test.evaluation.environment import results_root
from lib.tools.setup.self_test import TOLERANCE, run_self_test
from lib.utils.image import jpeg_decoder
from lib.utils.paths import PROJECT_ROOT

OK, NOTE, WARN, FAIL = "ok", "note", "WARN", "FAIL"  # a script needs to look at FAIL alone

# Without these nothing runs; the others serve one purpose each.
CORE = {"torch", "torchvision", "timm", "numpy", "opencv-python"}
CORE |= {"pyyaml", "easydict", "safetensors", "tqdm"}
# Distributions that bring the same module.
TWINS = {"opencv-python": ("opencv-python-headless", "opencv-contrib-python")}
ROOM = 2**30  # bytes that should be free


class Finding(NamedTuple):
    """One line of the page."""

    level: str  # OK, NOTE, WARN (not right, and nobody asked for it) or FAIL
    subject: str
    text: str
    mend: str = ""  # a command, or what to do


def check_software(requirements: Path = PROJECT_ROOT / "requirements.txt") -> list[Finding]:
    """Python, and every package of requirements.txt."""
    found = [Finding(OK, "python", f"{platform.python_version()} on {platform.platform()}")]
    lines = requirements.read_text(encoding="utf-8").splitlines()
    wanted = [m for line in lines if (m := re.match(r"([\w-]+)>=([\d.]+)", line))]
    found += [_check_package(match[1], match[2]) for match in wanted]
    good = [f for f in found if f.level == OK]
    line = ", ".join(f"{f.subject} {f.text}" for f in good[1:])
    return [found[0], Finding(OK, "packages", line), *(f for f in found if f.level != OK)]


def _check_package(name: str, least: str) -> Finding:
    """Compare a package's version with the least one."""
    level = FAIL if name in CORE else NOTE
    for candidate in (name, *TWINS.get(name, ())):
        try:
            version = importlib.metadata.version(candidate)
        except importlib.metadata.PackageNotFoundError:
            continue
        if _numbers(version) >= _numbers(least):
            return Finding(OK, candidate, version)
        return Finding(level, name, f"{version} is older than {least}", _pip(name, least))
    return Finding(level, name, "not installed", _pip(name, least))


def _numbers(version: str) -> list[int]:
    """[2, 6] for "2.6+cu124"."""
    return [int(part) for part in re.findall(r"\d+", version.split("+")[0])]


def _pip(name: str, least: str) -> str:
    return f"python -m pip install '{name}>={least}'"


def check_devices(needs: Collection[str] = ()) -> list[Finding]:
    """The CPU, every GPU, and whether torch is told to compute less exactly."""
    threads = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    found = [Finding(OK, "cpu", f"{platform.machine()}, {threads}")]
    found += [_check_gpu(i) for i in range(torch.cuda.device_count())]
    if len(found) == 1:
        level = FAIL if "gpu" in needs else NOTE
        found.append(Finding(level, "gpu", *_why_no_gpu()))
    if torch.get_float32_matmul_precision() != "highest":
        text = "float32 products are rounded (TF32), which moves boxes"
        found.append(Finding(WARN, "TF32", text, "unset TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"))
    else:
        found.append(Finding(OK, "TF32", "off: float32 is float32, as the stored boxes need"))
    return found


def _check_gpu(index: int) -> Finding:
    """Run something on a GPU."""
    subject = f"cuda:{index}"
    try:
        about = torch.cuda.get_device_properties(index)
        text = f"{about.name}, {about.total_memory / 2**30:.0f} GiB, sm_{about.major}{about.minor}"
        torch.ones(2, device=subject).sum().item()
    except RuntimeError as error:
        text = f"torch {torch.__version__} cannot use it: {str(error).splitlines()[0]}"
        return Finding(FAIL, subject, text, "install a torch for it: https://pytorch.org")
    return Finding(OK, subject, text)


def _why_no_gpu() -> tuple[str, str]:
    """Text and mend."""
    if torch.version.cuda is None and torch.version.hip is None:
        text = "none: this torch is built without CUDA; everything runs on the CPU, slowly"
        return text, "with an NVIDIA GPU: install torch from https://pytorch.org"
    if shutil.which("nvidia-smi") is None:
        text = "none: no NVIDIA driver here; everything runs on the CPU, slowly"
        return text, "with an NVIDIA GPU: install its driver"
    return "none that torch can use; everything runs on the CPU, slowly", "nvidia-smi"


def check_pooling(needs: Collection[str] = ()) -> Finding:
    """Which pooling can be used."""
    try:
        load_cuda_pooling()
    except RuntimeError:
        text = "closed form, which needs nothing built; the optional CUDA kernels are not built"
        level = FAIL if "pooling" in needs else OK
        return Finding(level, "pooling", text, "bash install.sh --cuda" if level == FAIL else "")
    return Finding(OK, "pooling", "closed form; the CUDA kernels are built (--pooling cuda)")


def check_jpeg() -> Finding:
    """Which decoder reads JPEG files."""
    if jpeg_decoder() == "jpeg4py":
        return Finding(OK, "JPEG", "decoded by jpeg4py (libturbojpeg)")
    text = "decoded by OpenCV; libturbojpeg is faster"
    return Finding(NOTE, "JPEG", text, "sudo apt-get install -y libturbojpeg0")


def check_numerics(device: torch.device) -> Finding:
    """Track the self-test clip on a device."""
    mend = "use --device cpu, and try another version of torch or of the driver"
    try:
        result = run_self_test(device)
    except RuntimeError as error:
        text = f"the self-test does not run: {str(error).splitlines()[0]}"
        return Finding(FAIL, str(device), text, mend)
    text = f"{result.worst:.4f} px from the stored boxes (allowed: {TOLERANCE})"
    if result.passed:
        return Finding(OK, str(device), text)
    text += f", in frame {result.frame}: this device computes something else"
    return Finding(FAIL, str(device), text, mend)


def check_folders(root: Path = PROJECT_ROOT) -> list[Finding]:
    """Whether programs can write where they write by default, and have room there."""
    results = results_root()
    places = {"results": results, "demo": root / "demo", "checkpoints": root / "checkpoints"}
    return [_check_folder(name, path) for name, path in places.items()]


def _check_folder(name: str, path: Path) -> Finding:
    """Write a file into a folder, or into what it would be made in."""
    there = next(p for p in (path, *path.absolute().parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        mend = f"sudo chown $USER {there}"
        mend += ", or export AIATRACK_RESULTS_DIR=/another/folder" * (name == "results")
        return Finding(FAIL, name, f"cannot write in {there}: {error.strerror}", mend)
    text = f"{path} is writable, {free / 2**30:.0f} GiB free"
    return Finding(OK if free > ROOM else WARN, name, text, "" if free > ROOM else "make room")
