"""Guards tracking/gpu_check.sh: whole on a CPU, its limits, wheels beside it."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lib.tools.setup.wheels import install_missing, missing_packages
from lib.utils.paths import PROJECT_ROOT

STAGES = ["packages", "ceilings", "self_test", "gpu_tests", "pooling", "profile", "batches"]
STAGES += ["train_2", "limit", "demo"]


def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess:
    script = PROJECT_ROOT / "tracking" / "gpu_check.sh"
    environment = {**os.environ, "PYTHON": sys.executable, **variables}
    command = ["bash", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


@pytest.mark.slow
def test_dry_run(tmp_path: Path) -> None:
    done = run("--dry", tmp_path / "out")
    summary = (tmp_path / "out" / "summary.txt").read_text()
    assert done.returncode == 0, summary
    assert re.findall(r"^== (\w+): ok, \d+ s$", summary, re.M) == STAGES
    for words in ("frames/s", "speedup", "limits training", "pooling, closed form"):
        assert words in summary
    files = {path.name for path in (tmp_path / "out").rglob("*")}
    assert {"profile.json", "batches.json", "train_2.json", "limit.json"} <= files
    assert any(name.startswith("AIATRACK_ep") for name in files)


def test_failures_stop_nothing_else_and_reach_the_exit_status(tmp_path: Path) -> None:
    done = run("--dry", tmp_path / "out", PYTHON="false")
    assert done.returncode == 1
    failed = re.findall(r"^== (\w+): failed with status 1", done.stdout, re.M)
    assert failed == STAGES
    assert done.stdout == (tmp_path / "out" / "summary.txt").read_text()


def test_time_limit(tmp_path: Path) -> None:
    done = run("--dry", tmp_path / "out", LIMIT="3")
    assert done.stdout.count("not run, no time is left") == len(STAGES)


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    for arguments, message in [
        ((), "bash tracking/gpu_check.sh [--dry] OUT"),
        (("--wet", tmp_path / "out"), "bash tracking/gpu_check.sh [--dry] OUT"),
        ((tmp_path,), "holds something; give a new folder"),
    ]:
        done = run(*arguments)
        assert done.returncode == 2 and message in done.stderr
    assert not (tmp_path / "out").exists()


def test_missing_packages_are_installed_from_wheels(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    info = "nowhere_else-1.0.dist-info"
    with zipfile.ZipFile(wheels / "nowhere_else-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("nowhere_else.py", "here = True\n")
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: nowhere-else\nVersion: 1\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("numpy>=1.26\nnowhere-else>=1,<2\n\n# more\nnot-there==2\npillow\n")
    assert missing_packages(requirements.read_text()) == ["nowhere-else", "not-there"]
    line = install_missing(wheels, tmp_path / "site", requirements)
    assert line == "installed: nowhere-else; missing: not-there"
    assert (tmp_path / "site" / "nowhere_else.py").is_file()
    (wheels / "nowhere_else-1.0-py3-none-any.whl").write_bytes(b"")
    with pytest.raises(RuntimeError, match=r"^pip: ."):
        install_missing(wheels, tmp_path / "site", requirements)
