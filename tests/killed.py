"""What tests kill at random moments; importable in the processes that they start."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np


def train_tiny(folder: Path, recipe: Path) -> None:
    """Train on rectangles."""
    from lib.train.admin.settings import Settings
    from lib.train.run_training import run
    from tests.train.tiny import tiny_samplers

    run(Settings(config=str(recipe), save_dir=folder, device="cpu"), tiny_samplers)


def run_test(arguments: list[str], environment: dict[str, str]) -> None:
    """Run tracking/test.py."""
    from tests.programs import run_program

    done = run_program("test.py", *arguments, env={**os.environ, **environment})
    raise SystemExit(done.returncode)


class Killer:
    """Runs functions in processes of their own, quick to start, and kills some of them."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._context = multiprocessing.get_context("forkserver")
        rooms = ["lib.train.run_training", "lib.test.evaluation.running", "tests.programs"]
        self._context.set_forkserver_preload([*rooms, "tests.train.tiny", "lib.test.tracker"])

    def seconds(self, target: Callable, *arguments: object) -> float:
        """Run to the end; how long that took."""
        process, begin = self._start(target, arguments), time.monotonic()
        process.join()
        assert process.exitcode == 0
        return time.monotonic() - begin

    def rounds(
        self, kills: int, folder: Path, target: Callable, arguments: Callable[[Path], tuple]
    ) -> Iterator[tuple[Path, str]]:
        """Kill this often, in as many rounds as it takes; yield after each what is to be looked at.

        A round starts in a new folder, again and again, until it comes to its end.

        Args:
            arguments: of the function, for a folder.

        Yields:
            The folder, and how it came about.
        """
        seconds, killed = self.seconds(target, *arguments(folder / "measured")), 0
        while killed < kills:
            before, path = killed, folder / f"after{killed}"
            while killed < min(kills, before + 10) and self._kill(target, arguments(path), seconds):
                killed += 1
            self.seconds(target, *arguments(path))
            yield path, f"after {killed - before} kills"

    def _kill(self, target: Callable, arguments: tuple, seconds: float) -> bool:
        """Start, and kill at some moment within `seconds`; False if it was done before."""
        process = self._start(target, arguments)
        process.join(self._generator.uniform(0, seconds))
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        return process.exitcode != 0

    def _start(self, target: Callable, arguments: tuple) -> multiprocessing.Process:
        process = self._context.Process(target=target, args=arguments)
        process.start()
        return process
