"""Guards the build of the compiled pooling: which toolkit is found, what is said if none fits."""

import subprocess
from pathlib import Path

import pytest
import torch


def make_toolkit(folder: Path, version: str = "13.0") -> Path:
    """A folder that looks like a CUDA toolkit, with an nvcc that only tells its version."""
    for name in ("bin", "include"):
        (folder / name).mkdir(parents=True)
    (folder / "include/cuda_runtime.h").touch()
    nvcc = folder / "bin/nvcc"
    nvcc.write_text(f"#!/bin/sh\necho Cuda compilation tools, release {version}, V{version}.88\n")
    nvcc.chmod(0o755)
    return folder


@pytest.fixture(autouse=True)
def without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_HOME", "CUDA_PATH", "PRROI_POOL_CPU_ONLY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.slow
def test_compiles_for_a100_and_h100(setup_module, nvcc_problem, tmp_path) -> None:
    if nvcc_problem:
        pytest.skip(nvcc_problem)
    library = tmp_path / "kernels.o"
    architectures = [f"-gencode=arch=compute_{n},code=sm_{n}" for n in (80, 90)]
    subprocess.run(
        [
            setup_module.find_cuda_home() / "bin/nvcc",
            *architectures,
            "-c",
            setup_module.FOLDER / "prroi_pool_cuda.cu",
            "-o",
            library,
        ],
        check=True,
        timeout=600,
    )
    assert library.stat().st_size > 0


@pytest.mark.parametrize("variable", ["CUDA_HOME", "CUDA_PATH"])
def test_toolkit_by_setting(setup_module, monkeypatch, tmp_path, variable) -> None:
    monkeypatch.setenv(variable, str(make_toolkit(tmp_path / "toolkit", "12.6")))
    assert setup_module.find_cuda_home() == tmp_path / "toolkit"
    assert setup_module.nvcc_version(tmp_path / "toolkit") == "12.6"


def test_toolkit_on_the_path(setup_module, monkeypatch, tmp_path) -> None:
    """The nvcc found can be a link into the toolkit."""
    make_toolkit(tmp_path / "toolkit")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/nvcc").symlink_to(tmp_path / "toolkit/bin/nvcc")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert setup_module.find_cuda_home() == tmp_path / "toolkit"


def test_no_toolkit(setup_module, monkeypatch) -> None:
    monkeypatch.setattr(setup_module, "_is_toolkit", lambda folder: False)
    with pytest.raises(SystemExit, match=r"error: no nvcc found .* set CUDA_HOME to its folder"):
        setup_module.find_cuda_home()


def test_build_without_nvcc_fails(run_setup, tmp_path) -> None:
    written = run_setup("build_ext", "--build-lib", tmp_path, status=1, CUDA_HOME=str(tmp_path))
    assert f"error: CUDA_HOME is {tmp_path}, which does not hold bin/nvcc" in written
    assert "the pooling runs in plain PyTorch" in written
    assert not list(tmp_path.iterdir())


def test_nvcc_that_tells_no_version(setup_module, tmp_path) -> None:
    toolkit = make_toolkit(tmp_path / "toolkit")
    (toolkit / "bin/nvcc").write_text("#!/bin/sh\necho broken; exit 3\n")
    with pytest.raises(SystemExit, match=r"nvcc --version says 'broken', not a release"):
        setup_module.nvcc_version(toolkit)


@pytest.mark.parametrize(
    ("nvcc", "torch_cuda", "message"),
    [
        (
            "12.8",
            "13.2",
            r"nvcc is of CUDA 12.8, the installed torch of CUDA 13.2; allowed: the same",
        ),
        ("13.0", None, "the installed torch is built without CUDA"),
    ],
)
def test_versions_that_do_not_fit(setup_module, nvcc, torch_cuda, message) -> None:
    with pytest.raises(SystemExit, match=f"error: {message}.*plain PyTorch"):
        setup_module.check_versions(nvcc, torch_cuda)


def test_minor_versions_may_differ(setup_module) -> None:
    setup_module.check_versions("13.0", "13.2")


def test_headers_of_pip(setup_module, tmp_path) -> None:
    for name in ("torch", "nvidia/cu13/include", "nvidia/cudnn/include", "nvidia/nccl/lib"):
        (tmp_path / name).mkdir(parents=True)
    found = setup_module.pip_include_folders(tmp_path / "torch")
    assert found == [tmp_path / "nvidia/cu13/include", tmp_path / "nvidia/cudnn/include"]


def test_loader_without_a_build(loader, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(loader, "LIBRARY", tmp_path / "prroi_pool_cuda.so")
    assert not loader.load_extension()


def test_loader_with_an_unreadable_build(loader, monkeypatch, tmp_path, caplog) -> None:
    """The file is there, its loading fails: as with one built for another torch. Said once."""
    broken = tmp_path / "prroi_pool_cuda.so"
    broken.write_bytes(b"no library")
    monkeypatch.setattr(loader, "LIBRARY", broken)
    # Past the look at what is loaded already, which depends on the tests before.
    monkeypatch.setattr(loader, "load_library", torch.ops.load_library)
    assert not loader.load_extension() and not loader.load_extension()
    (record,) = caplog.records
    assert f"{broken} does not load" in record.message
    assert "build_ext --inplace" in record.message


@pytest.mark.slow
def test_one_build_a_process(extension, loader, tmp_path) -> None:
    """Another copy of the Python side finds the operators loaded, and refuses to load others."""
    (loaded,) = (Path(path) for path in torch.ops.loaded_libraries if "prroi_pool" in path)
    loader.load_library(loaded)
    with pytest.raises(RuntimeError, match=r"other.so: another build is loaded; allowed: one"):
        loader.load_library(tmp_path / "other.so")
