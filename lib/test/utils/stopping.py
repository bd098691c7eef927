"""Ctrl-C and SIGTERM as a request to finish the frame and its files, not an end in between."""

import signal
import threading
from typing import Any


class StopRequest:
    """Notes Ctrl-C and SIGTERM while its block lasts; the second one interrupts at once."""

    def __init__(self) -> None:
        """Start with no signal noted."""
        self.signal_number: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        """Take over the signals, in the main thread."""
        if threading.current_thread() is threading.main_thread():
            signals = (signal.SIGINT, signal.SIGTERM)
            self._before = {number: signal.signal(number, self._note) for number in signals}
        return self

    def __exit__(self, *_: object) -> None:
        """Give them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        """Remember a signal."""
        if self.signal_number is not None:
            raise KeyboardInterrupt
        self.signal_number = number
