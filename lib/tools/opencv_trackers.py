"""OpenCV's own trackers behind the surface of ours, to be compared with.

MIL is in every OpenCV; CSRT, KCF and those under `cv2.legacy` are in opencv-contrib-python.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from lib.test.tracker.aiatrack import check_box
from lib.test.tracker.basetracker import Output
from lib.utils.image import check_rgb

NEED_A_NETWORK = ("DaSiamRPN", "GOTURN", "Nano", "Vit")  # whose files OpenCV does not bring


def opencv_trackers() -> dict[str, Callable[[], Any]]:
    """List the trackers of the OpenCV that is installed: name -> what makes one."""
    found: dict[str, Callable[[], Any]] = {}
    for module in (getattr(cv2, "legacy", None), cv2):
        for attribute in dir(module):
            if attribute.startswith("Tracker") and attribute.endswith("_create"):
                name = attribute.removeprefix("Tracker").removesuffix("_create")
                if name not in NEED_A_NETWORK:
                    found[name] = getattr(module, attribute)
    return found


class OpenCVTracker:
    """Follows one target; keeps its last box while it says that it has lost it."""

    def __init__(self, name: str) -> None:
        """Choose a tracker.

        Raises:
            ValueError: not one of `opencv_trackers()`.
        """
        known = opencv_trackers()
        if name not in known:
            raise ValueError(
                f"OpenCV {cv2.__version__} as installed has no tracker {name!r} that needs no "
                f"further files; it has {', '.join(sorted(known))} (opencv-contrib-python has more)"
            )
        self.name = name
        self._make = known[name]
        self._tracker: Any = None
        self._box: list[float] = []

    def initialize(self, image: np.ndarray, box: Sequence[float] | Mapping[str, Any]) -> None:
        """See `BaseTracker.initialize`; the box is rounded to whole pixels, as OpenCV wants it."""
        check_rgb(image)
        box = check_box(box["init_bbox"] if isinstance(box, Mapping) else box, image)
        self._tracker = self._make()
        self._tracker.init(_bgr(image), tuple(max(round(v), 0) for v in box.tolist()))
        self._box = box.tolist()

    def track(self, image: np.ndarray, info: Mapping[str, Any] | None = None) -> Output:
        """See `BaseTracker.track`; the score is 1, or 0 where the tracker says "lost"."""
        if self._tracker is None:
            raise RuntimeError("call initialize(image, box) before track(image)")
        check_rgb(image)
        found, box = self._tracker.update(_bgr(image))
        if found:
            self._box = [float(v) for v in box]
        return Output(list(self._box), float(found))

    def for_new_target(self) -> "OpenCVTracker":
        """Make one for another target."""
        return OpenCVTracker(self.name)

    def crop_search_region(self, image: np.ndarray) -> np.ndarray:
        """Take the whole frame."""
        return image

    @staticmethod
    def track_batch(
        trackers: Sequence["OpenCVTracker"], views: Sequence[np.ndarray]
    ) -> list[Output]:
        """Track one after the other."""
        return [tracker.track(view) for tracker, view in zip(trackers, views, strict=True)]


def _bgr(image: np.ndarray) -> np.ndarray:
    """OpenCV's order of colours."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
