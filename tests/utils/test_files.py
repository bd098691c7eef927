"""Atomic writes: whole or as before."""

from pathlib import Path

import pytest

from lib.utils.files import atomic_path, atomic_write_text


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
