"""A video that is tracked and labelled step by step; knows nothing of the page around it.

session = Session(tracker, Path("work"))
session.open("clip.mp4")
session.labels.draw(0, [(None, [200, 150, 60, 80])])
session.start(0)            # tracks in a thread; `session.at` says how far it is
session.wait()
export(session, "COCO")     # a file to hand out (export.py)
"""

import logging
import re
import shlex
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from lib.cli.program import USERS_ERRORS
from lib.io.video.end import missing_end
from lib.io.video.sources import Frame, FrameSource, VideoBrokenOffError, open_source
from lib.test.tracker.basetracker import BatchTracker
from lib.test.tracker.following import Following
from lib.test.tracker.targets import Targets
from lib.tools.video.painter import Painter
from lib.tools.web.labels import Labels
from lib.tools.web.recording import Recording

logger = logging.getLogger(__name__)


class NothingOpenError(ValueError):
    """There is no video yet."""


class Session:
    """One video, its labels, and at most one run of the tracker over it."""

    def __init__(self, tracker: BatchTracker, folder: Path, options: str = "") -> None:
        """folder: for recordings and exports. options: of the command line, for `command`."""
        self.folder, self._tracker, self._options = folder, tracker, options
        self.source: FrameSource | None = None
        self.labels, self.problem, self.at, self.speed = Labels(), "", 0, 0.0
        self.opened = 0  # videos so far
        self._image: np.ndarray | None = None  # of the frame `at`, while tracking
        self._thread, self._stop = threading.Thread(), threading.Event()
        self._reading = threading.Lock()

    @property
    def running(self) -> bool:
        """Whether the tracker is at work."""
        return self._thread.is_alive()

    @property
    def name(self) -> str:
        """The video's, in plain letters; for files."""
        stem = Path(self._opened().name.rstrip("/")).stem
        return re.sub(r"[^\w.-]+", "_", stem).strip("_.-") or "video"

    @property
    def count(self) -> int:
        """Frames that can be shown; those of a camera are counted as they come."""
        return 0 if self.source is None else self.source.count

    def open(self, name: str) -> None:
        """Open a video by its name (see `open_source`); the one before is closed.

        Raises:
            FileNotFoundError, VideoError: no such video; the one before stays.
        """
        source = open_source(name.strip())
        if not source.files:  # a camera or a stream
            folder = self.folder / f"recording-{time.strftime('%Y%m%d-%H%M%S')}"
            source = Recording(source, folder)
        with source:
            source.read(0)
        self.close()
        self.source, self.labels, self.at = source, Labels(), 0
        self.opened += 1
        broken = [end for end in map(missing_end, source.files[:1]) if end]
        self.problem = "".join(f"{self.count} frames can be read; {end}" for end in broken)

    def close(self) -> None:
        """Stop tracking and release the camera."""
        self.stop()
        self.wait()
        if isinstance(self.source, Recording):
            self.source.release()

    def frame(self, number: int) -> Frame:
        """Read a frame; raises as `FrameSource.read`, and NothingOpenError."""
        with self._reading:
            return self._opened().read(number)

    def seconds(self, number: int) -> float:
        """Time of a frame, since the first one."""
        return self._opened().seconds(number)

    def drawn(self) -> np.ndarray | None:
        """The frame that tracking has come to, with its boxes, (H, W, 3) uint8 RGB."""
        image = self._image
        return None if image is None else Painter().draw(image, self.at, self.labels.at(self.at))

    def status(self, number: int) -> str:
        """One line: which video, which frame, how many targets are known and lost there."""
        source = self._opened()
        states = self.labels.at(number)
        lost = [str(state.target) for state in states if state.lost and state.score is not None]
        parts = [f"{Path(source.name).name}, frame {number} of {self.count - 1}"]
        if self.running:
            parts.append(f"tracking, {self.speed:.1f} frames a second")
        if self.labels.targets:
            parts.append(f"targets here: {', '.join(str(s.target) for s in states) or 'none'}")
        else:
            parts.append("draw a box around each target, on any frame, then track")
        parts += [f"lost: {', '.join(lost)}"] if lost else []
        parts += [self.problem] if self.problem else []
        return "; ".join(parts)

    def start(self, number: int, *, backwards: bool = False) -> None:
        """Track from the boxes of a frame, in a thread: to the end, a checked box, or `stop`.

        Raises:
            ValueError: no box in that frame to go on from, or already tracking.
        """
        if self.running:
            raise ValueError("it is tracking already; stop it first")
        source = self._opened()
        boxes = self.labels.starts(number, -1 if backwards else 1)
        if not boxes:
            raise ValueError(
                f"frame {number} has no box to go on from: draw one, move one that is there, or "
                "say that its boxes are right"
            )
        if not isinstance(source, Recording):
            source = open_source(source.name)  # of its own, as frames are shown meanwhile
        targets = Targets(self._tracker)
        steps = Following(source, targets, boxes, start=number, backwards=backwards)
        self._stop.clear()
        self.problem, self.speed = "", 0.0
        self._thread = threading.Thread(target=self._run, args=(steps, number), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let the run end after the frame it is at."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the run to end."""
        with suppress(RuntimeError):  # none was started
            self._thread.join(seconds)

    def command(self) -> str:
        """The command line that tracks the same targets from the first frame."""
        states = self.labels.at(0)
        boxes = [",".join(f"{value:.4g}" for value in s.box_xywh) for s in states if not s.lost]
        if not boxes:
            return "# a target with a box in frame 0 is needed: draw one there, or track back to it"
        words = ["python", "tracking/video_demo.py", self._opened().name]
        words += [word for box in boxes for word in ("--init", box)]
        return f"{shlex.join(words)} {self._options}".strip()

    def _run(self, steps: Following, first: int) -> None:
        begin = time.monotonic()
        try:
            with steps:
                for done, step in enumerate(steps):
                    left = len(step.targets)
                    for state in step.targets if step.number != first else ():
                        if not self.labels.put(step.number, state):
                            steps.drop(state.target)  # what comes was tracked from there
                            left -= 1
                    self.at, self._image = step.number, step.image
                    self.speed = done / max(time.monotonic() - begin, 1e-9)
                    if not left or self._stop.is_set():
                        break
        except VideoBrokenOffError as error:
            self.problem = f"the source broke off: {error}"
        except USERS_ERRORS as error:
            self.problem = str(error)
        except Exception:
            logger.exception("tracking failed")
            self.problem = "tracking failed; the terminal says where"

    def _opened(self) -> FrameSource:
        if self.source is None:
            raise NothingOpenError("no video is open; upload one, or name one")
        return self.source
