"""Guards test runs against dead workers, bad frames, two runs at once, and torchrun.

A frame that is a named pipe holds a process where the test wants it: reading it lasts until the
test writes the image. Pipes are refused elsewhere; processes that the test starts take them.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from seeded import seeded_box, seeded_frame

from lib.utils.files import LOCK_FILE

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"a": 14, "b": 12, "c": 10}  # sequences and their lengths: a is tracked first
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes"),
]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Own clips: <name>/%04d.jpg and groundtruth.txt."""
    root = tmp_path / "own"
    for name, frames in NAMES.items():
        (root / name).mkdir(parents=True)
        for t in range(frames):
            image = seeded_frame(t % 10, 150, 160)[..., ::-1]
            assert cv2.imwrite(str(root / name / f"{t + 1:04d}.jpg"), image)
        rows = "".join(",".join(map(str, seeded_box(0))) + "\n" for _ in range(frames))
        (root / name / "groundtruth.txt").write_text(rows)
    return root


@pytest.fixture
def run(own: Path, tiny_recipe: Path, tiny_checkpoint: Path, tmp_path: Path):
    """Start tracking/test.py on them with a tiny network; at the end nothing of it runs on."""
    started = []
    takes_pipes = "stat.S_ISREG = lambda mode, real=stat.S_ISREG: real(mode) or stat.S_ISFIFO(mode)"
    (tmp_path / "sitecustomize.py").write_text(f"import stat\n{takes_pipes}\n")

    def start(*arguments: str, launcher: tuple = (), **environment: str) -> subprocess.Popen:
        command = [
            *(sys.executable, *launcher, str(ROOT / "tracking" / "test.py"), "--dataset", "own"),
            *("--param", str(tiny_recipe), "--checkpoint", str(tiny_checkpoint)),
            *("--device", "cpu", "--results", str(tmp_path / "results"), *arguments),
        ]
        settings = {"AIATRACK_OWN_DIR": str(own), "OMP_NUM_THREADS": "1", **environment}
        settings["PYTHONPATH"] = str(tmp_path)
        process = subprocess.Popen(
            command,
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


class HeldFrame:
    """A frame that is a named pipe for the time being."""

    def __init__(self, path: Path) -> None:
        self.path, self.image = path, path.read_bytes()
        self.pipe = path.with_suffix(".pipe")  # a second name, kept when the first is replaced
        path.unlink()
        os.mkfifo(path)
        os.link(path, self.pipe)

    def wait_for_reader(self) -> int:
        """Wait until a process waits for this frame; return the end to write to."""
        return until(self._open)

    def fix(self) -> None:
        """Put the image in place, for those who have not opened the frame yet."""
        temporary = self.path.with_suffix(".new")
        temporary.write_bytes(self.image)
        temporary.replace(self.path)

    def release(self, end: int) -> None:
        """Give the image to the process that waits."""
        os.set_blocking(end, True)
        with os.fdopen(end, "wb") as file:
            file.write(self.image)

    def wait_until_left(self) -> None:
        """Wait until the process that waited for this frame is gone."""
        until(lambda: None if (end := self._open()) and os.close(end) is None else True)

    def _open(self) -> int | None:
        try:
            return os.open(self.pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads
            return None


@pytest.fixture
def held(own: Path) -> HeldFrame:
    """Frame 6 of the last sequence."""
    return HeldFrame(own / "c" / "0006.jpg")


def until(found: Callable[[], object]) -> object:
    """Ask again and again for two minutes, until the answer is neither None nor empty."""
    deadline = time.monotonic() + 120
    while (answer := found()) is None or answer == []:
        assert time.monotonic() < deadline, f"{found} found nothing"
        time.sleep(0.01)
    return answer


def workers(parent: int) -> list[int]:
    """The worker processes of a run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_text()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[1]) == parent and fields[0] != "Z" and "spawn_main" in command:
            found.append(int(folder.name))
    return found


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    """Exit status, output, errors."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def counted(tmp_path: Path) -> set[str]:
    """The sequences whose result counts."""
    folder = tmp_path / "results" / "aiatrack" / "tiny" / "own"
    return {path.name.removesuffix("_run.json") for path in folder.glob("*_run.json")}


def boxes(tmp_path: Path) -> dict[str, str]:
    """Content of every file that follows from weights and frames alone; no other is left over."""
    folder = tmp_path / "results" / "aiatrack" / "tiny" / "own"
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == [LOCK_FILE]
    kinds = ("_time.txt", "_run.json", LOCK_FILE)
    return {p.name: p.read_text() for p in folder.iterdir() if not p.name.endswith(kinds)}


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, str]:
    """What `expected` has found; every test has the same frames and weights."""
    return {}


@pytest.fixture
def expected(undisturbed: dict, run, tmp_path: Path) -> dict[str, str]:
    """Results of an undisturbed run."""
    if not undisturbed:
        assert finish(run())[0] == 0
        undisturbed.update(boxes(tmp_path))
        assert len(undisturbed) == 3 * len(NAMES)
        (tmp_path / "results").rename(tmp_path / "undisturbed")
    return undisturbed


def test_a_worker_killed_by_a_signal_is_replaced(
    expected: dict, run, own: Path, tmp_path: Path
) -> None:
    held = HeldFrame(own / "a" / "0006.jpg")  # the first sequence: others come after the death
    process = run("--threads", "1")
    end = held.wait_for_reader()
    (worker,) = workers(process.pid)
    held.fix()
    os.kill(worker, signal.SIGSEGV)
    os.close(end)
    status, out, err = finish(process)
    assert status == 0 and "3 sequences tracked (36 frames" in out, err
    assert "a: its worker process died (by SIGSEGV); trying once more" in err
    assert boxes(tmp_path) == expected


def kill_worker_twice(process: subprocess.Popen, held: HeldFrame) -> None:
    """Kill the only worker each time it reads the frame that is held."""
    for _ in range(2):
        end = held.wait_for_reader()
        (worker,) = workers(process.pid)
        os.kill(worker, signal.SIGKILL)
        os.close(end)
        held.wait_until_left()


def test_a_sequence_that_kills_two_workers_has_failed(
    expected: dict, run, own: Path, tmp_path: Path
) -> None:
    held = HeldFrame(own / "a" / "0006.jpg")
    process = run("--threads", "1")
    kill_worker_twice(process, held)
    status, out, err = finish(process)
    assert status == 1 and "1 without a result: a" in out
    assert "its worker process died (by SIGKILL) for the second time" in err
    assert counted(tmp_path) == {"b", "c"}
    assert boxes(tmp_path) == {n: text for n, text in expected.items() if not n.startswith("a")}

    held.fix()
    status, out, err = finish(run())
    assert status == 0 and "1 sequences tracked" in out and "2 were finished before" in out
    assert boxes(tmp_path) == expected


def test_a_sequence_that_kills_its_worker_takes_no_other_of_its_batch_along(
    expected: dict, run, own: Path, tmp_path: Path
) -> None:
    """After the first death each sequence of the batch is tried on its own."""
    held = HeldFrame(own / "b" / "0006.jpg")
    process = run("--threads", "1", "--batch", "3")
    kill_worker_twice(process, held)
    status, out, err = finish(process)
    assert status == 1 and "1 without a result: b" in out
    assert all(f"{name}: its worker process died (by SIGKILL); trying" in err for name in NAMES)
    assert counted(tmp_path) == {"a", "c"}
    assert boxes(tmp_path) == {n: text for n, text in expected.items() if not n.startswith("b")}


def test_workers_end_when_the_main_process_is_killed(
    expected: dict, run, held: HeldFrame, tmp_path: Path
) -> None:
    process = run("--threads", "2")
    end = held.wait_for_reader()
    orphans = workers(process.pid)
    process.kill()
    process.wait()
    held.fix()
    held.release(end)
    until(lambda: None if any(alive(pid) for pid in orphans) else True)
    process.communicate()
    status, out, err = finish(run())
    assert status == 0 and "finished before" in out, err
    assert boxes(tmp_path) == expected


def alive(pid: int) -> bool:
    """Whether a process, no child of this one, still runs."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_corrupt_frame_fails_its_sequence_alone(
    expected: dict, run, own: Path, tmp_path: Path
) -> None:
    frame = own / "b" / "0007.jpg"
    whole = frame.read_bytes()
    frame.write_bytes(whole[: len(whole) // 2])
    status, out, err = finish(run("--threads", "2"))
    assert status == 1 and "1 without a result: b" in out
    assert "b failed: Traceback" in err and "0007.jpg: truncated JPEG" in err
    assert counted(tmp_path) == {"a", "c"}
    frame.write_bytes(whole)
    status, out, _ = finish(run())
    assert status == 0 and "1 sequences tracked" in out and boxes(tmp_path) == expected


def test_two_runs_at_once_of_the_same_weights(
    expected: dict, run, held: HeldFrame, tmp_path: Path
) -> None:
    first = run()
    end = held.wait_for_reader()  # a and b are finished
    assert counted(tmp_path) == {"a", "b"}
    for path in (tmp_path / "results").rglob("a_run.json"):
        path.unlink()  # so that the second run saves a again, while the first one runs
    held.fix()
    status, out, err = finish(run())
    assert status == 0 and "2 sequences tracked" in out and "1 were finished before" in out, err
    held.release(end)
    status, out, err = finish(first)
    assert status == 0 and "3 sequences tracked" in out, err
    assert boxes(tmp_path) == expected and counted(tmp_path) == set(NAMES)


def test_two_runs_at_once_of_different_settings(
    expected: dict, run, held: HeldFrame, tmp_path: Path
) -> None:
    first = run()
    end = held.wait_for_reader()
    held.fix()
    status, out, err = finish(run("--hyper", "5,2,-9"))
    assert status == 0 and "3 sequences tracked" in out, err  # nothing of the first run counts
    held.release(end)
    status, out, err = finish(first)
    assert status == 1 and "2 without a result: a, b" in out
    assert "1 sequences tracked" in out
    assert "another run with other weights, recipe, code or device has replaced it" in err
    # Each sequence is of one run; the next run of either kind knows which it has to track.
    folder = tmp_path / "results" / "aiatrack" / "tiny" / "own"
    origin = {n: json.loads((folder / f"{n}_run.json").read_text())["provenance"] for n in NAMES}
    assert [origin[n]["hyper"] for n in NAMES] == [[5, 2, -9], [5, 2, -9], None]
    status, out, _ = finish(run())
    assert status == 0 and "2 sequences tracked" in out and boxes(tmp_path) == expected


def test_processes_share_the_sequences(expected: dict, run, tmp_path: Path) -> None:
    assert finish(run(RANK="1", WORLD_SIZE="2"))[0] == 0
    assert counted(tmp_path) == {"b"}
    status, out, _ = finish(run(RANK="0", WORLD_SIZE="2"))
    assert status == 0 and "2 sequences tracked" in out and boxes(tmp_path) == expected
    status, _, err = finish(run(RANK="2", WORLD_SIZE="2"))
    assert status == 1 and "given: '2' and '2'" in err and "Traceback" not in err


def test_torchrun_with_a_failure_in_one_process(run, held: HeldFrame, tmp_path: Path) -> None:
    """Sequences a and c are the first process's, b is the other's, which fails long before."""
    frame = held.path.parents[1] / "b" / "0002.jpg"
    frame.write_bytes(b"")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    process = run(launcher=launcher)
    end = held.wait_for_reader()
    time.sleep(5)  # longer than the launcher needs to end the others
    held.release(end)
    status, out, err = finish(process)
    assert status == 1 and "1 without a result: b" in out and "0002.jpg" in err
    assert "2 sequences tracked" in out and counted(tmp_path) == {"a", "c"}


def test_two_machines_share_the_sequences(expected: dict, run, tmp_path: Path) -> None:
    """Two launchers that meet over the network, one process each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meeting = ("--nnodes", "2", "--nproc_per_node", "1", "--master_addr", "127.0.0.1")
    launcher = ("-m", "torch.distributed.run", *meeting, "--master_port", port, "--node_rank")
    processes = [run(launcher=(*launcher, rank)) for rank in ("0", "1")]
    tracked = []
    for process in processes:
        status, out, err = finish(process)
        assert status == 0, err
        tracked.append(out)
    assert "2 sequences tracked" in tracked[0] and "1 sequences tracked" in tracked[1]
    assert boxes(tmp_path) == expected
