"""Build the CUDA kernels of precise RoI pooling next to this file:

    python external/PreciseRoIPooling/setup.py build_ext --inplace

Settings, all by environment: CUDA_HOME (toolkit to use), TORCH_CUDA_ARCH_LIST (GPUs to build for),
MAX_JOBS, and PRROI_POOL_CPU_ONLY=1, which builds the CPU loops of the same arithmetic alone, as
prroi_pool_cpu.so (for tests).
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SOURCES = ("prroi_pool_ops.cpp", "prroi_pool_cuda.cu")
HEADERS = ("prroi_pool.h", "prroi_pool_cuda.h")
# Where no GPU can be asked: code for A100 and H100, and PTX for what came after.
ARCHITECTURES_WITHOUT_GPU = "8.0;9.0+PTX"
NOT_NEEDED = "Nothing else needs this build: without it the pooling runs in plain PyTorch."


def find_cuda_home() -> Path:
    """Folder of the CUDA toolkit: CUDA_HOME, CUDA_PATH, that of nvcc on PATH, or /usr/local/cuda.

    Raises:
        SystemExit: no nvcc there.
    """
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if value := os.environ.get(variable):
            if _is_toolkit(Path(value)):
                return Path(value)
            raise SystemExit(
                f"error: {variable} is {value}, which does not hold bin/nvcc and "
                f"include/cuda_runtime.h; allowed: the folder of a CUDA toolkit. {NOT_NEEDED}"
            )
    on_path = shutil.which("nvcc")
    candidates = [Path(on_path).resolve().parents[1]] if on_path else []
    # An nvcc on the PATH can be a script that calls the real one, hence the second candidate.
    for candidate in (*candidates, Path("/usr/local/cuda")):
        if _is_toolkit(candidate):
            return candidate
    raise SystemExit(
        "error: no nvcc found (looked at CUDA_HOME, CUDA_PATH, PATH and /usr/local/cuda). Install "
        f"the CUDA toolkit, or set CUDA_HOME to its folder. {NOT_NEEDED}"
    )


def _is_toolkit(folder: Path) -> bool:
    return (folder / "bin/nvcc").is_file() and (folder / "include/cuda_runtime.h").is_file()


def nvcc_version(cuda_home: Path) -> str:
    """Version of the toolkit's compiler, such as "13.0".

    Raises:
        SystemExit: nvcc does not run or names no release.
    """
    nvcc = cuda_home / "bin/nvcc"
    done = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=False)
    release = re.search(r"release (\d+\.\d+)", done.stdout)
    if done.returncode != 0 or not release:
        output = (done.stdout + done.stderr).strip()
        raise SystemExit(f"error: {nvcc} --version says {output!r}, not a release")
    return release.group(1)


def check_versions(nvcc: str, torch_cuda: str | None) -> None:
    """SystemExit if the versions of the compiler and of torch.version.cuda do not fit.

    The major versions must be equal; within one, CUDA keeps its binary interface.
    """
    if torch_cuda is None:
        raise SystemExit(
            f"error: the installed torch is built without CUDA: it cannot use kernels. {NOT_NEEDED}"
        )
    if nvcc.split(".")[0] != torch_cuda.split(".")[0]:
        raise SystemExit(
            f"error: nvcc is of CUDA {nvcc}, the installed torch of CUDA {torch_cuda}; allowed: "
            f"the same major version. Set CUDA_HOME to such a toolkit. {NOT_NEEDED}"
        )


def pip_include_folders(torch_folder: Path) -> list[Path]:
    """Headers of the CUDA libraries installed with torch: site-packages/nvidia/*/include."""
    return sorted(torch_folder.parent.glob("nvidia/*/include"))


def make_extension(cpu_only: bool):
    """The setuptools extension; checks the toolkit, and settles what torch's builder would guess.

    Raises:
        SystemExit: no toolkit that fits.
    """
    # The operators call no Python, so one build serves every version of it.
    options = {"py_limited_api": True, "depends": list(HEADERS)}
    if cpu_only:
        from torch.utils.cpp_extension import CppExtension

        flags = {"cxx": ["-O2"]}
        return CppExtension("prroi_pool_cpu", [SOURCES[0]], extra_compile_args=flags, **options)

    cuda_home = find_cuda_home()
    os.environ["CUDA_HOME"] = str(cuda_home)  # read when cpp_extension is imported
    import torch
    from torch.utils.cpp_extension import CUDAExtension

    check_versions(nvcc_version(cuda_home), torch.version.cuda)
    if not os.environ.get("TORCH_CUDA_ARCH_LIST") and not torch.cuda.is_available():
        os.environ["TORCH_CUDA_ARCH_LIST"] = ARCHITECTURES_WITHOUT_GPU
    # A toolkit may lack headers that torch needs (cusparse.h, ...). Those of pip come last on the
    # path, so that the toolkit's own win: its compiler and runtime headers belong together.
    folders = pip_include_folders(Path(torch.__file__).parent)
    includes = [f"-idirafter{folder}" for folder in folders]
    flags = {"cxx": ["-O2", "-DPRROI_WITH_CUDA", *includes], "nvcc": ["-O3"]}
    return CUDAExtension("prroi_pool_cuda", list(SOURCES), extra_compile_args=flags, **options)


def main() -> None:
    """Run setuptools on the extension, from this folder."""
    os.chdir(FOLDER)
    extension = make_extension(cpu_only=os.environ.get("PRROI_POOL_CPU_ONLY") == "1")
    from setuptools import setup
    from torch.utils.cpp_extension import BuildExtension, is_ninja_available

    build = BuildExtension.with_options(no_python_abi_suffix=True, use_ninja=is_ninja_available())
    commands = {"build_ext": build}
    setup(name=extension.name, version="1.0", ext_modules=[extension], cmdclass=commands)


if __name__ == "__main__":
    main()
