"""How a training that was asked to stop ends."""

import signal


class Stopped(Exception):
    """Training was asked to stop and has saved; `signal_number` says by which signal."""

    def __init__(self, signal_number: int) -> None:
        """Keep the number; an exit status is 128 plus it."""
        super().__init__(f"stopped by {signal.Signals(signal_number).name}; the state is saved")
        self.signal_number = signal_number
