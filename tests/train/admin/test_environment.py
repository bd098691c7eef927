"""Guards where training data are looked for, and who said so."""

from pathlib import Path

import pytest

from lib.train.admin import local
from lib.train.admin.environment import FOLDERS, find_data
from lib.utils.paths import PROJECT_ROOT


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without any setting."""
    monkeypatch.delenv("AIATRACK_DATA", raising=False)
    for setting in FOLDERS:
        monkeypatch.delenv(f"AIATRACK_{setting.upper()}_DIR", raising=False)
        monkeypatch.setattr(local, f"{setting}_dir", None)


def test_each_setting_overrides_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    found = find_data("lasot")
    assert found.path == PROJECT_ROOT / "data" / "LaSOT" and "./data" in found.source
    monkeypatch.setenv("AIATRACK_DATA", "/disk")
    found = find_data("lasot")
    assert found.path == Path("/disk/LaSOT") and "AIATRACK_DATA" in found.source
    monkeypatch.setattr(local, "lasot_dir", "/mine")
    found = find_data("lasot")
    assert found.path == Path("/mine") and "lib/train/admin/local.py" in found.source
    monkeypatch.setenv("AIATRACK_LASOT_DIR", "/other")
    found = find_data("lasot")
    assert found.path == Path("/other") and "AIATRACK_LASOT_DIR" in found.source


def test_packed_file_in_place_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIATRACK_DATA", str(tmp_path))
    (tmp_path / "COCO.lmdb").write_bytes(b"")
    assert find_data("coco").path == tmp_path / "COCO.lmdb"
    (tmp_path / "COCO").mkdir()
    assert find_data("coco").path == tmp_path / "COCO"
