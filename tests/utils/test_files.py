"""Atomic writes: whole or as before. Locks."""

import subprocess
import sys
from pathlib import Path

import pytest

from lib.utils.files import atomic_path, atomic_write_text, locked_folder

ROOT = Path(__file__).resolve().parents[2]


def test_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    atomic_write_text(target, "one")
    atomic_write_text(target, "two")
    assert target.read_text() == "two"
    assert [p.name for p in target.parent.iterdir()] == ["a.txt"]


def test_a_failure_keeps_the_old_content(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    atomic_write_text(target, "old")
    with pytest.raises(OSError, match="no space"), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise OSError("no space left on device")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_locked_folder_keeps_others_out_until_the_block_ends(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    program = (
        "import sys; from pathlib import Path; from lib.utils.files import locked_folder\n"
        "with locked_folder(Path(sys.argv[1])): (Path(sys.argv[1]) / 'in').touch()"
    )
    with locked_folder(folder):
        other = subprocess.Popen([sys.executable, "-c", program, str(folder)], cwd=ROOT)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(1.5)
        assert not list(folder.iterdir())
    assert other.wait(60) == 0 and (folder / "in").exists()
