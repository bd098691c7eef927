"""How far a run is: the bar that a user watches, and what the summary counts."""

import logging
from typing import NamedTuple

from tqdm import tqdm

from lib.test.evaluation.data import Sequence

logger = logging.getLogger(__name__)


class Failure(NamedTuple):
    """A sequence without a result."""

    sequence: str
    reason: str  # a traceback, or one line


class Done(NamedTuple):
    """A sequence has its result on disk."""

    frames: int
    seconds: float


class Progress:
    """The bar, and what the summary counts."""

    def __init__(self, sequences: list[Sequence], todo: list[Sequence]) -> None:
        self.done, self.frames, self.seconds = 0, 0, 0.0
        self.failures: list[Failure] = []
        self._skipped, self._sequences = len(sequences) - len(todo), len(sequences)
        total = sum(len(s.frames) for s in todo)
        self._bar = tqdm(total=total, unit="frame", disable=not todo, smoothing=0.05)
        self._shown: dict[str, int] = {}
        self._postfix()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance(self, sequence: Sequence, frame: int) -> None:
        """Frames 0..frame-1 of a sequence are tracked."""
        self._bar.update(frame - self._shown.get(sequence.name, 0))
        self._shown[sequence.name] = frame

    def finish(self, sequence: Sequence, outcome: Done | str) -> None:
        """A sequence is finished, or has failed for a reason."""
        if isinstance(outcome, Done):
            self.advance(sequence, len(sequence.frames))
            self.done += 1
            self.frames += outcome.frames
            self.seconds += outcome.seconds
        else:
            logger.error("%s failed: %s", sequence.name, outcome.strip())
            self.failures.append(Failure(sequence.name, outcome))
        self._postfix()

    def take_back(self, sequence: Sequence, reason: str) -> None:
        """A sequence that was finished has failed after all."""
        self.done -= 1
        self.finish(sequence, reason)

    def _postfix(self) -> None:
        done = f"{self._skipped + self.done}/{self._sequences} sequences"
        failed = f", {len(self.failures)} failed" if self.failures else ""
        self._bar.set_postfix_str(done + failed)
