"""What a tracker is to its users besides one frame to one box: following videos, saved states."""

import json
from abc import ABC, abstractmethod
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from lib.test.parameter.aiatrack import TrackerParams
from lib.test.tracker.basetracker import BatchTracker
from lib.test.tracker.following import Boxes, FirstBoxes, Following
from lib.test.tracker.inputs import Source, as_source
from lib.test.tracker.memory import ReferenceMemory
from lib.test.tracker.states import parts_of, read_state, references_of, write_state
from lib.test.tracker.targets import Targets

NOT_STARTED = "call initialize(image, box) before track(image)"


class VideoTracker(BatchTracker, ABC):
    """A tracker with a memory of its video."""

    def __init__(self, params: TrackerParams) -> None:
        self.params = params
        self.box: list[float] = []  # x, y, w, h in image pixels, of the last frame
        self.raw_score = float("nan")  # of the last frame, as the IoU head gives it
        self._memory: ReferenceMemory | None = None

    @property
    def memory(self) -> ReferenceMemory:
        """What is remembered of the video. Raises RuntimeError before `initialize`."""
        if self._memory is None:
            raise RuntimeError(NOT_STARTED)
        return self._memory

    def follow(
        self,
        source: Source,
        boxes: Boxes | FirstBoxes,
        *,
        start: int | None = None,
        backwards: bool = False,
        bgr: bool = False,
        rate: float | None = None,
    ) -> Following:
        """Follow targets through a source, a `Step` per frame; this tracker's own state stays.

        Args:
            source: see `as_source`.
            boxes: of the first frame that is read, see `numbered_boxes`; or a function of its
                image that returns them, such as a detector.
            start: the first frame, from 0; None: the first of all, backwards the last.
            backwards: from there to frame 0.
            bgr: images that are given as arrays or tensors are BGR.
            rate: frames a second, for the times; None: what the source says.

        Raises:
            FileNotFoundError, VideoError, ValueError: no such source; the rest comes with the
                first frame.
        """
        opened = as_source(source, bgr=bgr, rate=rate)
        return Following(opened, Targets(self), boxes, start=start, backwards=backwards)

    def save_state(self, path: str | Path) -> None:
        """Write box and memory to a file; see `write_state`. RuntimeError before `initialize`."""
        remembered = [self.memory.first, *self.memory.entries]
        arrays = [
            {name: self._to_array(values) for name, values in parts_of(references).items()}
            for references in remembered
        ]
        write_state(Path(path), arrays, self._identity(), (self.box, self.raw_score))

    def load_state(self, path: str | Path) -> None:
        """Go on from a file of `save_state`, to the bit as the tracker that wrote it.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not such a file, or written by other weights or with other settings.
        """
        arrays, last = read_state(Path(path), self._identity())
        read = [
            references_of({name: self._from_array(*values) for name, values in parts.items()})
            for parts in arrays
        ]
        capacity, ensemble = self.params.capacity, self.params.ensemble
        self._memory = ReferenceMemory(read[0], capacity, ensemble, read[1:])
        self.box, self.raw_score = last

    def _to_array(self, values: Any) -> tuple[np.ndarray, str]:
        """A part of the memory for a file, exactly, and the name of its dtype."""
        return values, str(values.dtype)

    def _from_array(self, array: np.ndarray, dtype: str) -> Any:
        """Undo `_to_array`."""
        return array.astype(dtype, copy=False)

    @abstractmethod
    def _fingerprint(self) -> str:
        """Digest of the network, for the states that belong to it."""

    def _identity(self) -> dict[str, str]:
        settings = json.dumps(asdict(replace(self.params, lost_below=0.0)), sort_keys=True)
        return {"network": self._fingerprint(), "settings": settings}
