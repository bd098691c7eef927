"""Guards several processes: equal gradients, statuses, tracebacks, stop signals, two machines."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from lib.checkpoint.files import read_checkpoint
from lib.train.admin import distributed
from lib.train.admin.settings import Settings
from lib.train.trainers.checkpoints import INTERRUPTED
from tests.train.processes import write_gradients
from tests.train.tiny import NO_DROPOUT, write_recipe

ROOT = Path(__file__).resolve().parents[3]


def start(entry, folder, *arguments):
    """Start tracking/train.py on rectangles."""
    recipe = write_recipe(folder)
    given = ["--config", str(recipe), "--save-dir", str(folder), "--device", "cpu", *arguments]
    code = f"import sys; from tests.train.processes import main; sys.exit(main({entry!r}, {given}))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def saved(folder, name="AIATRACK_ep0002.pth.tar"):
    return Settings(config="tiny", save_dir=folder).checkpoint_folder / name


@pytest.mark.slow
def test_half_batches_on_two_processes_have_the_whole_batch_gradients(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    recipe = write_recipe(tmp_path, "MODEL", TRANSFORMER=NO_DROPOUT)
    write_gradients(recipe, tmp_path / "1.pt", batch_size=4)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        run_id="gradients",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    elastic_launch(config, write_gradients)(recipe, tmp_path / "2.pt", 2)
    whole, halves = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in (1, 2))
    assert sum(g.norm() for g in whole.values()) > 0.1
    scale = max(g.abs().max() for g in whole.values())
    for name, gradient in whole.items():
        torch.testing.assert_close(halves[name], gradient, rtol=1e-5, atol=1e-5 * scale, msg=name)


@pytest.mark.slow
def test_two_processes_train_and_save_once(tmp_path):
    process = start("run_tiny", tmp_path, "--mode", "multiple", "--nproc", "2")
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "effective batch 4 = 2 samples x 1 accumulated x 2 processes" in errors
    assert "mean IoU" in output
    contents = read_checkpoint(saved(tmp_path))
    assert contents["settings"]["processes"] == 2
    # 8 samples an epoch: 2 updates of 4
    assert {float(state["step"]) for state in contents["optimizer"]["state"].values()} == {4.0}


@pytest.mark.slow
def test_failure_of_one_rank_ends_all_with_its_traceback(tmp_path):
    begin = time.monotonic()
    process = start("run_broken", tmp_path, "--mode", "multiple", "--nproc", "2")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    summary = errors[errors.rindex("run_broken FAILED") :]
    assert "rank      : 1" in summary
    assert "Traceback" in summary
    assert "ValueError: no sample for rank one" in summary
    assert time.monotonic() - begin < 100


@pytest.mark.slow
def test_single_process_failure_has_status_1(tmp_path):
    process = start("run_tiny", tmp_path, "--init-from", str(tmp_path / "missing.pth.tar"))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    missing = tmp_path / "missing.pth.tar"
    assert errors == f"error: no file {missing} (--init-from)\n"


@pytest.mark.slow
def test_what_a_user_can_mend_is_one_line_from_several_processes_too(tmp_path):
    broken = saved(tmp_path)
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"nothing")
    process = start("run_tiny", tmp_path, "--mode", "multiple", "--nproc", "2")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in errors
    (line,) = [line for line in errors.splitlines() if "ERROR" in line]
    assert "rank 0: " in line and "none of its 1 checkpoints can be read" in line


@pytest.mark.slow
def test_stop_signal_to_the_launcher_saves(tmp_path):
    options = ("--mode", "multiple", "--nproc", "2", "--samples", "400", "--epochs", "1")
    process = start("run_tiny", tmp_path, *options)
    log = tmp_path / "logs" / "aiatrack-tiny.log"
    end = time.monotonic() + 90
    while not (log.exists() and "epoch 1 [4/100]" in log.read_text()):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, errors
    contents = read_checkpoint(saved(tmp_path, INTERRUPTED))
    assert 4 <= contents["batches_done"] < 100


@pytest.mark.slow
def start_machines(folders, *options):
    """Start a launcher with one process on each of two "machines", both this one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = ("--mode", "multiple", "--nproc", "1", "--nnodes", "2", *options)
    processes = []
    for rank, folder in enumerate(folders):
        folder.mkdir()
        endpoint = ("--rdzv-endpoint", f"127.0.0.1:{port}", "--node-rank", str(rank))
        processes.append(start("run_tiny", folder, *common, *endpoint))
    return processes


def test_two_machines_compute_what_one_with_two_processes_does(tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for process in start_machines(folders):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    (tmp_path / "one").mkdir()
    process = start("run_tiny", tmp_path / "one", "--mode", "multiple", "--nproc", "2")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    two, one = (read_checkpoint(saved(folder)) for folder in (folders[0], tmp_path / "one"))
    assert two["settings"]["processes"] == 2 and not saved(folders[1]).exists()
    assert two["stats"]["history"] == one["stats"]["history"]  # losses, to the bit
    for name, value in one["net"].items():
        assert torch.equal(value, two["net"][name]), name


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_machine_that_dies_ends_the_other_within_a_minute(killed, tmp_path):
    processes = start_machines([tmp_path / "a", tmp_path / "b"], "--samples", "4000")
    log = tmp_path / "a" / "logs" / "aiatrack-tiny.log"
    end = time.monotonic() + 90
    while not (log.exists() and "epoch 1 [4/" in log.read_text()):
        assert all(process.poll() is None for process in processes) and time.monotonic() < end
        time.sleep(0.05)
    processes[killed].kill()
    processes[killed].communicate(timeout=60)
    other = processes[1 - killed]
    _, errors = other.communicate(timeout=60)
    assert other.returncode == 1, errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nnodes", "2"], "needs --mode multiple and --rdzv-endpoint"),
        (["--node-rank", "1"], "--node-rank must be in 0..0; given: 1"),
        (["--nproc", "2"], "needs --mode multiple"),
        (["--precision", "fp8"], "invalid choice: 'fp8'"),
    ],
)
def test_command_line_refusals(arguments, message, capsys):
    from tracking.train import parse_arguments

    with pytest.raises(SystemExit) as exit_status:
        parse_arguments(arguments)
    assert exit_status.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "no_such"], "no recipe 'no_such'"),
        (["--batch-size", "0"], "batch_size must be at least 1; given: 0"),
        (["--accumulate", "-1"], "accumulate must be at least 1; given: -1"),
        (["--seed", "-1"], "seed must be at least 0; given: -1"),
        (["--samples", "9" * 50], "samples must be at most 2147483647; given: 9"),
        (["--backbone-weights", "none.pth"], "no file none.pth (--backbone-weights)"),
        (["--config", "baseline"], "LASOT: nothing at /none (from AIATRACK_LASOT_DIR in the env"),
        (["--track-every", "1", "--track-set", "OTB100"], "test set otb: no "),
    ],
)
def test_wrong_settings_end_with_status_1(arguments, message, capsys, monkeypatch):
    from tracking.train import main

    monkeypatch.setenv("AIATRACK_LASOT_DIR", "/none")
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and len(line) < 400


ALONE = {"WORLD_SIZE": "1"}
PARTLY = {"WORLD_SIZE": "2", "RANK": "0"}
WHOLE = {
    "WORLD_SIZE": "2",
    "RANK": "1",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "localhost",
    "MASTER_PORT": "1",
}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (False, 0, 1)),
        (ALONE, (False, 0, 1)),
        ({"RANK": "3", "LOCAL_RANK": "3", "LOCAL_WORLD_SIZE": "8"}, (False, 0, 1)),
        (WHOLE, (True, 1, 2)),
        (PARTLY, "WORLD_SIZE is '2' in the environment, which lacks LOCAL_RANK, LOCAL_WORLD"),
        ({"WORLD_SIZE": "many"}, "WORLD_SIZE is 'many' in the environment, which lacks RANK"),
        ({**WHOLE, "RANK": "2"}, "which has RANK '2'; unset it to train in one process"),
        ({**WHOLE, "RANK": "x"}, "which has RANK 'x'"),
    ],
)
def test_what_a_launcher_left_in_the_environment(environment, expected, monkeypatch):
    for name in WHOLE:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=expected):
            distributed.launched()
    else:
        found = distributed.launched(), distributed.local_rank(), distributed.processes_here()
        assert found == expected


def test_the_command_line_of_the_released_code(capsys):
    from tracking.train import parse_arguments

    theirs = "--script aiatrack --config baseline --save_dir . --mode multiple --nproc_per_node 8"
    given = parse_arguments([*theirs.split(), "--use_lmdb", "0"])
    assert (given.config, given.mode, given.nproc) == ("baseline", "multiple", 8)
    assert given.save_dir == Path(".")
    assert "--use-lmdb is not needed here, and left out: a file of" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse_arguments(["--script", "stark_s"])
