"""Guards parts of running that need no network; tests/tracking runs the whole program."""

import concurrent.futures
import multiprocessing
import os
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lib.models.aiatrack.onnx.session import CUDA
from lib.test.evaluation import running, sharing, workers
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.job import Job, Progress
from lib.test.evaluation.results import ResultFolder, SequenceResult
from lib.test.evaluation.running import run_sequences
from lib.test.tracker.options import TrackerOptions

SEQUENCE = Sequence("clip", "own", (Path("1.jpg"), Path("2.jpg")), np.array([[1.0, 2, 3, 4]]))
RESULT = SequenceResult(np.ones((2, 4)), np.ones(2), np.ones(2))


def job_in(folder: Path, **provenance: str) -> Job:
    """A job that never tracks anything."""
    return Job(TrackerOptions(device="cpu"), ResultFolder(folder, "t", "c", "own"), provenance)


def test_a_worker_that_is_gone_when_it_is_given_a_sequence(tmp_path: Path) -> None:
    """It is noticed when its pipe is read, like every other death."""
    ours, theirs = multiprocessing.Pipe()
    theirs.close()
    pool = workers.Pool(job_in(tmp_path), 1, Progress([SEQUENCE], [SEQUENCE]))
    worker = workers.Worker(multiprocessing.Process(), ours, "cpu", 1)
    pool._busy[ours] = worker
    pool._queue.append(SEQUENCE)
    pool._send(worker, pool._choose_next(worker))
    assert worker.tracking == {"clip": SEQUENCE}
    with pytest.raises((EOFError, OSError)):
        ours.recv()


class Starting:
    """A process that is not ready yet: nobody reads its end of the pipe."""

    def __init__(self, args: tuple, **_: object) -> None:
        self.pipe = Connection(os.dup(args[1].fileno()))

    def start(self) -> None:
        """Take all the time in the world."""


def test_workers_are_sent_nothing_before_they_read(tmp_path: Path) -> None:
    """A sequence of 11,397 frames does not fit a pipe: the others would wait for this one."""
    frames = tuple(Path(f"/data/a folder/{n:08d}.jpg") for n in range(11_397))
    long, short = SEQUENCE._replace(name="long", frames=frames), SEQUENCE
    pool = workers.Pool(job_in(tmp_path), 2, Progress([], []))
    started: list[Starting] = []

    def process(**options: Any) -> Starting:
        started.append(Starting(**options))
        return started[-1]

    pool._context = SimpleNamespace(Pipe=multiprocessing.Pipe, Process=process)
    pool._queue.extend([long, short])
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        for _ in range(2):
            thread.submit(pool._start, "cpu", 1).result(timeout=30)
        first, second = pool._busy.values()
        assert (list(first.tracking), list(second.tracking)) == (["long"], ["clip"])
        for worker, process_, expected in zip((first, second), started, (long, short), strict=True):
            process_.pipe.send(workers.READY)
            sending = thread.submit(pool._receive, worker)
            assert process_.pipe.recv().frames == expected.frames
            sending.result(timeout=30)


@pytest.mark.parametrize(
    ("code", "text"), [(3, "exit status 3"), (-9, "by SIGKILL"), (-99, "by signal 99")]
)
def test_how_a_process_ended(code: int, text: str) -> None:
    assert workers._exit_text(code) == text


def test_what_is_finished_is_not_tracked_again(tmp_path: Path) -> None:
    job = job_in(tmp_path, checkpoint="a")
    job.folder.save("clip", RESULT, job.provenance)
    summary = run_sequences([SEQUENCE], job)
    assert (summary.finished_before, summary.tracked, summary.failures) == (1, 0, [])


def test_a_result_that_another_run_replaces_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = job_in(tmp_path, checkpoint="a"), job_in(tmp_path, checkpoint="b")

    def track(todo, job, progress, on_frame) -> None:
        job.folder.save("clip", RESULT, job.provenance)
        progress.finish(SEQUENCE, 0.1)
        other.folder.save("clip", RESULT, other.provenance)

    monkeypatch.setattr(running, "_run_here", track)
    summary = run_sequences([SEQUENCE], mine)
    ((name, reason),) = summary.failures
    assert name == "clip" and "another run" in reason and summary.tracked == 0
    assert run_sequences([SEQUENCE], other).finished_before == 1


SHARES = [
    ({}, "abcde"),
    ({"RANK": "0", "WORLD_SIZE": "2"}, "ace"),
    ({"RANK": "1", "WORLD_SIZE": "2"}, "bd"),
    ({"RANK": "5", "WORLD_SIZE": "6"}, ""),
]


@pytest.mark.parametrize(("environment", "share"), SHARES, ids=[s[1] or "none" for s in SHARES])
def test_shares(monkeypatch: pytest.MonkeyPatch, caplog, environment: dict, share: str) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert sharing.my_share("abcde") == share
    said = f"it does {len(share)} of 5 sequences, others must do the rest"
    assert (said in caplog.text) == (len(share) < 5)


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("-1", "2"), ("x", "2"), ("0", "0")])
def test_impossible_shares(monkeypatch: pytest.MonkeyPatch, rank: str, size: str) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", size)
    with pytest.raises(ValueError, match=rf"0 <= RANK < WORLD_SIZE; given: '{rank}' and '{size}'"):
        sharing.my_share("abc")


DEVICES = [  # GPUs, process on its machine, workers of each, device, index -> device
    (0, "0", 2, "auto", 1, "auto"),
    (4, "0", 4, "auto", 3, "cuda:3"),
    (2, "0", 5, "auto", 3, "cuda:1"),
    (4, "3", 1, "auto", 0, "cuda:3"),
    (4, "1", 2, "auto", 1, "cuda:3"),
    (4, "1", 2, "cuda:0", 1, "cuda:0"),
    (4, "1", 2, "cpu", 1, "cpu"),
]


@pytest.mark.parametrize(("gpus", "local_rank", "workers", "device", "index", "chosen"), DEVICES)
def test_devices_of_workers(
    monkeypatch: pytest.MonkeyPatch, gpus, local_rank, workers, device, index, chosen
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setenv("LOCAL_RANK", local_rank)
    assert sharing.worker_device(TrackerOptions(device=device), index, workers) == chosen
    # ONNX Runtime takes no GPU that it has no provider for, whatever torch sees.
    options = TrackerOptions(device=device, backend="onnx")
    for providers, expected in (["CPUExecutionProvider"], device), ([CUDA], chosen):
        runtime = SimpleNamespace(get_available_providers=lambda found=providers: found)
        monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
        assert sharing.worker_device(options, index, workers) == expected
