"""Guards where a data set's path comes from, and what an error about it says."""

from pathlib import Path
from types import ModuleType

import pytest

from lib.utils.paths import PROJECT_ROOT, data_path


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A local.py without settings, and an environment without variables."""
    monkeypatch.delenv("AIATRACK_DATA", raising=False)
    monkeypatch.delenv("AIATRACK_OTB_DIR", raising=False)
    module = ModuleType("lib.test.evaluation.local")
    module.otb_dir = None
    return module


def test_order_of_settings(local: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_path("otb", "OTB100", local).path == PROJECT_ROOT / "data" / "OTB100"
    monkeypatch.setenv("AIATRACK_DATA", "/big")
    assert data_path("otb", "OTB100", local).path == Path("/big/OTB100")
    local.otb_dir = "/mine/otb"
    assert data_path("otb", "OTB100", local).path == Path("/mine/otb")
    monkeypatch.setenv("AIATRACK_OTB_DIR", "/now")
    assert data_path("otb", "OTB100", local).path == Path("/now")


@pytest.mark.parametrize("value", ["", "  "])
@pytest.mark.parametrize("setting", ["AIATRACK_OTB_DIR", "AIATRACK_DATA", "otb_dir"])
def test_an_empty_path_is_refused(
    local: ModuleType, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    if setting == "otb_dir":
        local.otb_dir = value
    else:
        monkeypatch.setenv(setting, value)
    with pytest.raises(ValueError, match=rf"^{setting} in .* is empty; give a folder, or leave"):
        data_path("otb", "OTB100", local)


@pytest.mark.parametrize("setting", ["AIATRACK_OTB_DIR", "AIATRACK_DATA", "otb_dir", None])
def test_error_names_the_setting(
    local: ModuleType, monkeypatch: pytest.MonkeyPatch, setting: str | None
) -> None:
    if setting == "otb_dir":
        local.otb_dir = "/no/such"
    elif setting:
        monkeypatch.setenv(setting, "/no/such")
    with pytest.raises(FileNotFoundError) as caught:
        data_path("otb", "NoSuchOTB", local).require("test set otb")
    message = str(caught.value)
    assert (setting or "default root ./data") in message
    assert ("/no/such" if setting else "NoSuchOTB") in message and "test set otb" in message
