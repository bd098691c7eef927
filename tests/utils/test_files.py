"""Guards atomic writes (whole or as before) and locks on folders."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from lib.utils.files import (
    TemporaryOutput,
    atomic_path,
    atomic_write_text,
    check_outputs,
    locked_folder,
)

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


def test_an_output_is_kept_or_discarded(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("old")
    kept, discarded = (TemporaryOutput(tmp_path / name) for name in ("a.txt", "b.txt"))
    for output in (kept, discarded):
        output.temporary.write_text("new")
    kept.keep()
    kept.discard()
    discarded.discard()
    assert kept.done and discarded.done
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.txt": "new", "b.txt": "old"}


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"cannot write .*file/a\.txt: (Not a directory|File exists)"):
        atomic_write_text(tmp_path / "file" / "a.txt", "text")


@pytest.mark.skipif(os.name == "nt", reason="folders are not read-only there")
def test_a_folder_that_cannot_be_written_is_used_without_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(FileLock, "acquire", refuse)  # root may write everywhere
    with locked_folder(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


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
        assert not (folder / "in").exists()
    assert other.wait(60) == 0 and (folder / "in").exists()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file with other names: two links, a folder that is one, a detour."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_text("source")
    (tmp_path / "soft.mp4").symlink_to("in/a.mp4")
    os.link(tmp_path / "in" / "a.mp4", tmp_path / "hard.mp4")
    (tmp_path / "folder").symlink_to("in")
    return tmp_path / "in" / "a.mp4"


ALIASES = ["in/a.mp4", "soft.mp4", "hard.mp4", "folder/a.mp4", "in/../in/a.mp4"]
READ = [*((name, "a.mp4") for name in ALIASES), ("in/a.mp4", "."), ("folder/a.mp4", ".")]


@pytest.mark.parametrize(("name", "given"), READ)
def test_no_output_is_an_input(tmp_path: Path, source: Path, name: str, given: str) -> None:
    with pytest.raises(ValueError, match=r"is read here .*; give the output another name"):
        check_outputs([tmp_path / name], [source.parent / given], overwrite=True)


def test_outputs_that_exist_need_leave(tmp_path: Path, source: Path) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("in/a.mp4", "dangling"):
        with pytest.raises(FileExistsError, match=r"exists; give --overwrite to replace it"):
            check_outputs([tmp_path / "new", tmp_path / name])
        check_outputs([tmp_path / "new", tmp_path / name], [tmp_path / "none"], overwrite=True)
    with pytest.raises(ValueError, match="two outputs"):
        check_outputs([tmp_path / "new", tmp_path / "in" / ".." / "new"])
