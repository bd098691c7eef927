"""Guards a run's folder: one training at a time, and nothing left of a killed one."""

import os
import socket
import subprocess
import sys
import time

import pytest

from lib.train.admin import run_lock
from lib.train.admin.run_lock import HOLDER_FILE, RunFolderError, sole_training
from lib.train.admin.settings import Settings
from lib.train.run_training import run
from lib.utils.files import LOCK_FILE
from lib.utils.paths import PROJECT_ROOT
from tests.train.tiny import tiny_samplers, write_recipe

HOLD = """
import os, sys, time
from pathlib import Path
from lib.train.admin.run_lock import sole_training
with sole_training(Path(sys.argv[1])):
    if "fork" in sys.argv and os.fork() == 0:
        time.sleep(3)  # a loading process that lives on for a while
        os._exit(0)
    print("holds", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def hold():
    """Start a process that holds a folder; it is killed at the end."""
    started = []

    def start(folder, *options):
        command = [sys.executable, "-c", HOLD, str(folder), *options]
        process = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "holds\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_training_is_told_who_has_the_folder(tmp_path, hold, caplog):
    settings = Settings(config=str(write_recipe(tmp_path)), save_dir=tmp_path, device="cpu")
    process = hold(settings.checkpoint_folder)
    begin = time.monotonic()
    with pytest.raises(SystemExit) as end:
        run(settings, tiny_samplers)
    assert end.value.code == 1 and time.monotonic() - begin < 10
    message = f"another training has this folder (process {process.pid} {socket.gethostname()}"
    assert message in caplog.text and "Traceback" not in caplog.text
    assert {path.name for path in settings.checkpoint_folder.iterdir()} == {LOCK_FILE, HOLDER_FILE}
    assert not settings.log_file.exists()


@pytest.mark.parametrize("options", [(), ("fork",)], ids=["alone", "with a loading process"])
def test_the_folder_is_free_when_its_training_was_killed(tmp_path, hold, options):
    process = hold(tmp_path, *options)
    process.kill()
    process.wait()
    with sole_training(tmp_path):
        assert (tmp_path / HOLDER_FILE).read_text().startswith(f"{os.getpid()} ")
    assert {path.name for path in tmp_path.iterdir()} == {LOCK_FILE}


def test_left_overs_of_a_killed_training_alone_are_removed(tmp_path):
    ours = [
        ".AIATRACK_ep0002.pth.tar.abcd_123.tmp",
        ".AIATRACK_interrupted.pth.tar.x8xz0abc.tmp",
        ".nonfinite_ep0001_update000002_rank0.pt.abcdefgh.tmp",
        f".{HOLDER_FILE}.abcdefgh.tmp",
    ]
    others = [".demo.safetensors.abcd_123.tmp", "AIATRACK_ep0001.pth.tar", "notes.tmp"]
    for name in (*ours, *others):
        (tmp_path / name).write_bytes(b"x")
    with sole_training(tmp_path):
        assert {p.name for p in tmp_path.iterdir()} == {*others, LOCK_FILE, HOLDER_FILE}


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write in .*file/run: Not a directory"):
        with sole_training(tmp_path / "file" / "run"):
            pass


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch, caplog):
    def refuse(*_, **__):
        raise NotImplementedError

    monkeypatch.setattr(run_lock.FileLock, "acquire", refuse)
    with sole_training(tmp_path):
        assert "cannot be locked: start no second training there" in caplog.text


def test_a_lock_that_stays_taken_after_its_holder_is_gone(tmp_path, hold, monkeypatch, caplog):
    hold(tmp_path)
    (tmp_path / HOLDER_FILE).write_text(f"999999999 {socket.gethostname()} long ago")
    monkeypatch.setattr(run_lock, "PATIENCE", 0.1)
    with pytest.raises(RunFolderError, match="process 999999999"), sole_training(tmp_path):
        pass
    assert "waiting for a training that was killed to end" in caplog.text
