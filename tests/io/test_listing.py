"""Guards the one way to list a folder and to read a text."""

import os
from pathlib import Path

import pytest

from lib.io.listing import list_folder, read_text, split_lines

LEFT = (  # by Finder, notebooks, NAS boxes, Windows, file systems and version control
    *("._walk", ".DS_Store", ".ipynb_checkpoints", ".git", "__MACOSX", "@eaDir", "#recycle"),
    *("$RECYCLE.BIN", "System Volume Information", "Thumbs.db", "desktop.ini", "lost+found"),
)


def test_what_systems_leave_is_not_listed(tmp_path: Path) -> None:
    for name in (*LEFT, "walk", "my walk 1", "2", "@home"):
        (tmp_path / name).mkdir()
    assert list_folder(tmp_path) == ["2", "@home", "my walk 1", "walk"]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_text_is_the_same_on_every_system(tmp_path: Path, end: str, mark: str) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(f"{mark}walk{end}  my walk 1 {end}{end}é".encode())
    assert read_text(path) == "walk\n  my walk 1 \n\né"
    assert split_lines(read_text(path)) == ["walk", "my walk 1", "é"]


def test_a_pipe_is_no_text(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "list.txt")
    with pytest.raises(OSError, match=r"list\.txt: not a regular file, but a pipe"):
        read_text(tmp_path / "list.txt")
