"""The operators of external/PreciseRoIPooling for its tests: the library built in place, or else
one built now, with CUDA where nvcc is found and for the CPU alone elsewhere. The CPU's loops and
the CUDA kernels call the same functions of prroi_pool.h.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "external/PreciseRoIPooling"


def _load_module(name: str) -> ModuleType:
    """The folder is no package: load one of its Python files by path."""
    spec = importlib.util.spec_from_file_location(f"prroi_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def setup_module() -> ModuleType:
    """A fresh copy of setup.py."""
    return _load_module("setup")


@pytest.fixture
def loader() -> ModuleType:
    """A fresh copy of prroi_pool_extension.py, with nothing loaded by it."""
    return _load_module("prroi_pool_extension")


def _run_setup(*arguments: str | Path, status: int = 0, **environment: str) -> str:
    """Run setup.py with settings, check its exit status and return what it wrote."""
    done = subprocess.run(
        [sys.executable, FOLDER / "setup.py", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == status, (done.stdout + done.stderr)[-4000:]
    return done.stdout + done.stderr


@pytest.fixture
def run_setup() -> Callable[..., str]:
    return _run_setup


@pytest.fixture(scope="session")
def nvcc_problem() -> str:
    """Why the CUDA kernels cannot be compiled here; empty where they can."""
    if os.environ.get("PRROI_POOL_CPU_ONLY") == "1":
        return "PRROI_POOL_CPU_ONLY is set"
    setup = _load_module("setup")
    try:
        setup.check_versions(setup.nvcc_version(setup.find_cuda_home()), torch.version.cuda)
    except SystemExit as problem:
        return str(problem)
    return ""


@pytest.fixture(scope="session")
def extension(tmp_path_factory: pytest.TempPathFactory, nvcc_problem: str) -> ModuleType:
    """prroi_pool_extension.py with a library loaded."""
    module = _load_module("prroi_pool_extension")
    if module.LIBRARY.is_file():
        setup = _load_module("setup")
        sources = [FOLDER / name for name in (*setup.SOURCES, *setup.HEADERS)]
        newest = max(source.stat().st_mtime for source in sources)
        assert module.LIBRARY.stat().st_mtime >= newest, f"{module.LIBRARY}: build it again"
        assert module.load_extension()
        return module
    if shutil.which(os.environ.get("CXX", "c++")) is None:
        pytest.skip("no C++ compiler here to build the operators with")
    folder = tmp_path_factory.mktemp("prroi_pool")
    settings = {"PRROI_POOL_CPU_ONLY": "1" if nvcc_problem else "0"}
    _run_setup("build_ext", "--build-lib", folder, "--build-temp", folder / "temp", **settings)
    (library,) = folder.glob("prroi_pool_*.so")
    module.load_library(library)
    return module


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest, extension: ModuleType, nvcc_problem: str) -> str:
    """Where the operators run."""
    if request.param == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("no GPU here to run the kernels on")
        if nvcc_problem and not extension.LIBRARY.is_file():
            pytest.skip(f"the CUDA kernels are not built: {nvcc_problem}")
    return request.param
