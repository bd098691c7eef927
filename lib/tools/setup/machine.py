"""What works on this machine and what does not, each finding with the command that fixes it.

Each function looks at one thing and returns findings; tracking/check_setup.py prints the page.
Neighbours: data.py looks at data sets, weights.py at checkpoints, self_test.py at numerics.
"""

import importlib.metadata
import platform
import re
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

import torch

from lib.models.aiatrack.prroi_pool import load_cuda_pooling
from lib.test.evaluation.environment import results_root
from lib.tools.setup.findings import FAIL, NOTE, OK, WARN, Finding
from lib.tools.setup.self_test import TOLERANCE, run_self_test
from lib.utils.device import usable_cores
from lib.utils.image import jpeg_decoder
from lib.utils.paths import PROJECT_ROOT

# Without these nothing runs; the others serve one purpose each.
CORE_PACKAGES = {"torch", "torchvision", "timm", "numpy", "opencv-python"}
CORE_PACKAGES |= {"pyyaml", "easydict", "safetensors", "tqdm"}
# Distributions that bring the same module.
ALTERNATIVES = {"opencv-python": ("opencv-python-headless", "opencv-contrib-python")}
MIN_FREE_BYTES = 2**30


def check_software(requirements: Path = PROJECT_ROOT / "requirements.txt") -> list[Finding]:
    """Python, and every package of requirements.txt."""
    python = Finding(OK, "python", f"{platform.python_version()} on {platform.platform()}")
    lines = requirements.read_text(encoding="utf-8").splitlines()
    required = [m for line in lines if (m := re.match(r"([\w-]+)>=([\d.]+)", line))]
    findings = [_check_package(match[1], match[2]) for match in required]
    good = ", ".join(f"{f.subject} {f.text}" for f in findings if f.level == OK)
    return [python, Finding(OK, "packages", good), *(f for f in findings if f.level != OK)]


def _check_package(name: str, minimum: str) -> Finding:
    level = FAIL if name in CORE_PACKAGES else NOTE
    fix = f"python -m pip install '{name}>={minimum}'"
    for candidate in (name, *ALTERNATIVES.get(name, ())):
        try:
            version = importlib.metadata.version(candidate)
        except importlib.metadata.PackageNotFoundError:
            continue
        if _numbers(version) >= _numbers(minimum):
            return Finding(OK, candidate, version)
        return Finding(level, name, f"{version} is older than {minimum}", fix)
    return Finding(level, name, "not installed", fix)


def _numbers(version: str) -> list[int]:
    """[2, 6] for "2.6+cu124"."""
    return [int(part) for part in re.findall(r"\d+", version.split("+")[0])]


def check_devices(needs: Collection[str] = ()) -> list[Finding]:
    """The CPU, every GPU, and whether torch is told to compute less exactly."""
    threads = f"{usable_cores()} usable cores, {torch.get_num_threads()} threads"
    cpu = Finding(OK, "cpu", f"{platform.machine()}, {threads}")
    gpus = [_check_gpu(i) for i in range(torch.cuda.device_count())]
    no_gpu = [Finding(FAIL if "gpu" in needs else NOTE, "gpu", *_why_no_gpu())]
    tf32 = Finding(OK, "TF32", "off: float32 is float32, as the stored boxes need")
    if torch.get_float32_matmul_precision() != "highest":
        text = "float32 products are rounded (TF32), which moves boxes"
        tf32 = Finding(WARN, "TF32", text, "unset TORCH_ALLOW_TF32_CUBLAS_OVERRIDE")
    return [cpu, *(gpus or no_gpu), tf32]


def _check_gpu(index: int) -> Finding:
    subject = f"cuda:{index}"
    try:
        about = torch.cuda.get_device_properties(index)
        text = f"{about.name}, {about.total_memory / 2**30:.0f} GiB, sm_{about.major}{about.minor}"
        torch.ones(2, device=subject).sum().item()
        return Finding(OK, subject, text)
    except RuntimeError as error:
        text = f"torch {torch.__version__} cannot use it: {str(error).splitlines()[0]}"
        return Finding(FAIL, subject, text, "install a torch for it: https://pytorch.org")


def _why_no_gpu() -> tuple[str, str]:
    """Text and fix of a finding."""
    if torch.version.cuda is None and torch.version.hip is None:
        text = "none: this torch is built without CUDA; everything runs on the CPU, slowly"
        return text, "with an NVIDIA GPU: install torch from https://pytorch.org"
    if shutil.which("nvidia-smi") is None:
        text = "none: no NVIDIA driver here; everything runs on the CPU, slowly"
        return text, "with an NVIDIA GPU: install its driver"
    return "none that torch can use; everything runs on the CPU, slowly", "nvidia-smi"


def check_pooling(needs: Collection[str] = ()) -> Finding:
    try:
        load_cuda_pooling()
        return Finding(OK, "pooling", "closed form; the CUDA kernels are built (--pooling cuda)")
    except RuntimeError:
        text = "closed form, which needs nothing built; the optional CUDA kernels are not built"
    if "pooling" in needs:
        return Finding(FAIL, "pooling", text, "bash install.sh --cuda")
    return Finding(OK, "pooling", text)


def check_jpeg() -> Finding:
    if jpeg_decoder() == "jpeg4py":
        return Finding(OK, "JPEG", "decoded by jpeg4py (libturbojpeg)")
    text = "decoded by OpenCV; libturbojpeg is faster"
    return Finding(NOTE, "JPEG", text, "sudo apt-get install -y libturbojpeg0")


def check_numerics(device: torch.device) -> Finding:
    """Track the self-test clip on a device."""
    try:
        worst, frame = run_self_test(device)
        text = f"{worst:.4f} px from the stored boxes (allowed: {TOLERANCE})"
        if worst <= TOLERANCE:
            return Finding(OK, str(device), text)
        text += f", in frame {frame}: this device computes something else"
    except RuntimeError as error:
        text = f"the self-test does not run: {str(error).splitlines()[0]}"
    fix = "use --device cpu, and try another version of torch or of the driver"
    return Finding(FAIL, str(device), text, fix)


def check_folders(root: Path = PROJECT_ROOT) -> list[Finding]:
    """Whether programs can write where they write by default, and have room there."""
    paths = {"results": results_root(), "demo": root / "demo", "checkpoints": root / "checkpoints"}
    return [_check_folder(name, path) for name, path in paths.items()]


def _check_folder(name: str, path: Path) -> Finding:
    """Write a file into a folder, or into the one that it would be made in."""
    existing = next(p for p in (path, *path.absolute().parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free
    except OSError as error:
        fix = f"sudo chown $USER {existing}"
        fix += ", or export AIATRACK_RESULTS_DIR=/another/folder" * (name == "results")
        return Finding(FAIL, name, f"cannot write in {existing}: {error.strerror}", fix)
    text = f"{path} is writable, {free / 2**30:.0f} GiB free"
    fix = "" if free > MIN_FREE_BYTES else "free some disk space"
    return Finding(WARN if fix else OK, name, text, fix)
