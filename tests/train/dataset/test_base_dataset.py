"""Guards the index: annotations are parsed once, and again when a file changed or is damaged."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest

from lib.io import array_cache
from lib.io.layouts import write_got10k
from lib.io.store import open_store
from lib.train.dataset.benchmarks import Got10k
from tests.train.clips import make_clip

NAMES = ["a", "b"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two sequences of GOT-10k."""
    write_got10k(tmp_path / "data", ((name, make_clip(5, len(name))) for name in NAMES))
    return tmp_path / "data"


def _open(root: Path) -> Got10k:
    return Got10k("GOT", open_store(root), NAMES, "train")


def _forbid_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Got10k) -> None:
        raise AssertionError("parsed again")

    monkeypatch.setattr(Got10k, "_build_index", refuse)


def test_second_opening_parses_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _open(root)
    _forbid_parsing(monkeypatch)
    second = _open(root)
    assert np.array_equal(first.boxes(1), second.boxes(1))
    assert second.sequence_name(1) == "b"
    assert [path.name for path in (root / ".cache").iterdir()] == ["data-GOT.npz"]


def test_a_changed_annotation_is_read(root: Path) -> None:
    _open(root)
    path = root / "train" / "b" / "groundtruth.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(["7,8,9,10", *lines[1:]]) + "\n")
    assert _open(root).boxes(1)[0].tolist() == [7, 8, 9, 10]


def test_a_changed_time_alone_is_enough(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _open(root)
    path = root / "train" / "b" / "cover.label"
    os.utime(path, ns=(1, 1))
    _forbid_parsing(monkeypatch)
    with pytest.raises(AssertionError, match="parsed again"):
        _open(root)


def test_other_sequences_are_another_index(root: Path) -> None:
    _open(root)
    assert len(Got10k("GOT", open_store(root), ["b"], "train")) == 1


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_a_damaged_cache_is_made_anew(
    root: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    boxes = _open(root).boxes(0)
    path = root / ".cache" / "data-GOT.npz"
    path.write_bytes(path.read_bytes()[:-40] if content is None else content)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(_open(root).boxes(0), boxes)
    assert "made anew" in caplog.text
    caplog.clear()
    _open(root)
    assert not caplog.text


def test_data_that_cannot_be_written_are_cached_elsewhere(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(array_cache, "PROJECT_ROOT", tmp_path / "project")
    (root / ".cache").write_text("in the way")  # as a read-only folder would be
    _open(root)
    assert len(list((tmp_path / "project" / ".cache").glob("GOT-*.npz"))) == 1
    _forbid_parsing(monkeypatch)
    _open(root)


def test_nowhere_to_cache_is_said(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "project").write_text("in the way")
    monkeypatch.setattr(array_cache, "PROJECT_ROOT", tmp_path / "project")
    (root / ".cache").write_text("in the way")
    assert len(_open(root)) == 2
    assert "made anew at every start" in caplog.text
