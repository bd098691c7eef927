"""SIGTERM and SIGINT as a request to save and stop, instead of an end in the middle of a step."""

import logging
import signal
import threading
from types import FrameType, TracebackType

logger = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(Exception):
    """Training was asked to stop and has saved; `signal_number` says by which signal."""

    def __init__(self, signal_number: int) -> None:
        """Keep the number; an exit status is 128 plus it."""
        super().__init__(f"stopped by {signal.Signals(signal_number).name}; the state is saved")
        self.signal_number = signal_number


class StopRequest:
    """Notes stop signals while its block lasts; outside the main thread it notes nothing."""

    def __init__(self) -> None:
        """Start with no signal noted."""
        self.signal_number: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        """Take over the signals."""
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._note) for s in STOP_SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Remember the first signal. A launcher may pass the same one on again: ignored."""
        if self.signal_number is None:
            self.signal_number = number
            logger.warning("%s: saving after this step", signal.Signals(number).name)
