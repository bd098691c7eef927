"""Guards what programs say while they work: nothing of what is quick, lines in a log."""

import time

import pytest

from lib.cli import progress as module
from lib.cli.progress import progress, saying


def test_what_is_quick_is_not_spoken_of(capsys: pytest.CaptureFixture) -> None:
    with saying("loading"):
        pass
    assert list(progress(range(3), "counting")) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_what_takes_longer_is(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.02)
    with saying("loading PyTorch"):
        time.sleep(0.1)
    assert capsys.readouterr().err == "loading PyTorch ...\n"
    for _ in progress(range(40), "counting", unit="frames"):
        time.sleep(0.01)
    lines = capsys.readouterr().err.splitlines()
    assert 3 <= len(lines) <= 8  # each waits twice as long as the one before
    assert all(line.startswith("counting: ") and "\r" not in line for line in lines)
    assert lines[-1].startswith("counting: 40/40 frames, ")
    for _ in progress(range(12), "counting"):  # each slower than the first interval
        time.sleep(0.03)
    lines = capsys.readouterr().err.splitlines()
    counts = [int(line.split()[1].partition("/")[0]) for line in lines]
    assert counts == sorted(set(counts)) and all("/12 frames" in line for line in lines)
    with progress(None, "packing", unit="files") as bar:
        for _ in range(6):
            time.sleep(0.01)
            bar.update(2)
    assert capsys.readouterr().err.splitlines()[-1].startswith("packing: 12 files, ")
