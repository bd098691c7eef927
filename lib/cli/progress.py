"""What a program says on standard error while it works, where that takes longer than a moment.

On a terminal that is a bar; in a log lines, which come ever more rarely.
"""

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from typing import Any

from tqdm import tqdm

FIRST_SECONDS = 1.0  # what is done before that is not spoken of
MAX_LINE_SECONDS = 60.0
LINE = "{desc}: {n_fmt}/{total_fmt}{unit}, {elapsed} so far, {remaining} to go{postfix}"
LINE_WITHOUT_END = "{desc}: {n_fmt}{unit}, {elapsed} so far{postfix}"


@contextmanager
def saying(what: str) -> Iterator[None]:
    """Say what is being done ("loading PyTorch") if the block takes more than a second.

    Worker processes, which import programs anew, say nothing.
    """
    text = f"{what} ...\n"
    timer = threading.Timer(FIRST_SECONDS, lambda: (sys.stderr.write(text), sys.stderr.flush()))
    timer.daemon = True
    if parent_process() is None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def progress(
    items: Iterable[Any] | None, what: str, *, unit: str = "frames", **options: Any
) -> tqdm:
    """Show how far a loop over items is, or without items what `update(n)` of the bar says.

    Args:
        options: of tqdm, such as `total`.
    """
    shared: Any = {"desc": what, "unit": f" {unit}", "delay": FIRST_SECONDS}
    shared |= {"disable": parent_process() is not None, **options}
    if sys.stderr.isatty():
        return tqdm(items, **shared, smoothing=0.05)
    known = options.get("total") is not None or hasattr(items, "__len__")
    return _Lines(items, **shared, bar_format=LINE if known else LINE_WITHOUT_END)


class _Lines(tqdm):
    """A bar as lines of a log; the time from each to the next doubles."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._shown = -1  # what the last line said, if there is one
        self._next, self._wait = 0.0, FIRST_SECONDS
        super().__init__(*args, **options, mininterval=FIRST_SECONDS, maxinterval=FIRST_SECONDS)

    def display(self, *_: Any, **__: Any) -> bool:
        if time.monotonic() >= self._next:  # tqdm's own interval stays: changed, it miscounts
            self._write()
        return True

    def _write(self) -> None:
        self.fp.write(f"{self}\n")
        self.fp.flush()
        self._shown, self._next = self.n, time.monotonic() + self._wait
        self._wait = min(2 * self._wait, MAX_LINE_SECONDS)

    def close(self) -> None:
        if not self.disable and self._shown not in (-1, self.n):
            self._write()
        self.sp = None  # of which nothing is left to clear
        super().close()
