"""SIGTERM and SIGINT (Ctrl-C) as a request to finish a step and its files, not an end within it."""

import logging
import signal
import threading
from types import FrameType
from typing import Any

logger = logging.getLogger(__name__)


class StopRequest:
    """Records the first stop signal during its block; in the main thread only."""

    def __init__(self, *, second_interrupts: bool = False) -> None:
        """Start with no signal recorded.

        Args:
            second_interrupts: another signal raises KeyboardInterrupt; otherwise it is ignored, for
                launchers that pass the same one on again.
        """
        self.signal_number: int | None = None
        self._second_interrupts = second_interrupts
        self._handlers_before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._handlers_before[number] = signal.signal(number, self._record)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)

    def _record(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is None:
            self.signal_number = number
            logger.warning("%s: stopping after this step", signal.Signals(number).name)
        elif self._second_interrupts:
            raise KeyboardInterrupt


class Stopped(Exception):
    """Training was asked to stop and has saved; the exit status is 128 + `signal_number`."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}; the state is saved")
        self.signal_number = signal_number
