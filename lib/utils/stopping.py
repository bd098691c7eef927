"""SIGTERM and SIGINT (Ctrl-C) as a request to finish a step and its files, not an end within it."""

import logging
import signal
import threading
from types import FrameType

logger = logging.getLogger(__name__)


class StopRequest:
    """Notes stop signals while its block lasts; outside the main thread it notes nothing."""

    def __init__(self, *, second_interrupts: bool = False) -> None:
        """Start with no signal noted.

        Args:
            second_interrupts: another signal raises KeyboardInterrupt; otherwise it is ignored, for
                launchers that pass the same one on again.
        """
        self.signal_number: int | None = None
        self._second_interrupts = second_interrupts
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        """Take over the signals."""
        if threading.current_thread() is threading.main_thread():
            signals = (signal.SIGTERM, signal.SIGINT)
            self._before = {number: signal.signal(number, self._note) for number in signals}
        return self

    def __exit__(self, *_: object) -> None:
        """Give them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Remember the first signal."""
        if self.signal_number is None:
            self.signal_number = number
            logger.warning("%s: stopping after this step", signal.Signals(number).name)
        elif self._second_interrupts:
            raise KeyboardInterrupt


class Stopped(Exception):
    """Training was asked to stop and has saved; `signal_number` says by which signal."""

    def __init__(self, signal_number: int) -> None:
        """Keep the number; an exit status is 128 plus it."""
        super().__init__(f"stopped by {signal.Signals(signal_number).name}; the state is saved")
        self.signal_number = signal_number
