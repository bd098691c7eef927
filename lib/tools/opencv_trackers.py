"""OpenCV's own trackers behind the interface of ours, to compare with.

MIL is in every OpenCV; CSRT, KCF and those under `cv2.legacy` are in opencv-contrib-python.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from lib.test.tracker.basetracker import Output
from lib.test.tracker.reference_tracker import check_box
from lib.utils.image import check_rgb

NEED_NETWORK_FILES = ("DaSiamRPN", "GOTURN", "Nano", "Vit")  # not in OpenCV


def opencv_trackers() -> dict[str, Callable[[], Any]]:
    """List the trackers of the installed OpenCV: name -> what makes one."""
    trackers: dict[str, Callable[[], Any]] = {}
    for module in (getattr(cv2, "legacy", None), cv2):
        for attribute in dir(module):
            if attribute.startswith("Tracker") and attribute.endswith("_create"):
                name = attribute.removeprefix("Tracker").removesuffix("_create")
                if name not in NEED_NETWORK_FILES:
                    trackers[name] = getattr(module, attribute)
    return trackers


class OpenCVTracker:
    """Follows one target; keeps the last box while OpenCV says that the target is lost."""

    def __init__(self, name: str) -> None:
        """Choose a tracker; ValueError for one that is not in `opencv_trackers()`."""
        known = opencv_trackers()
        if name not in known:
            raise ValueError(
                f"OpenCV {cv2.__version__} as installed has no tracker {name!r} that needs no "
                f"further files; it has {', '.join(sorted(known))} (opencv-contrib-python has more)"
            )
        self.name, self._make = name, known[name]
        self._tracker: Any = None
        self._box: list[float] = []

    def initialize(self, image: np.ndarray, box: Sequence[float] | Mapping[str, Any]) -> None:
        """See `BaseTracker.initialize`; the box is rounded to whole pixels, as OpenCV wants it."""
        check_rgb(image)
        values = check_box(box["init_bbox"] if isinstance(box, Mapping) else box, image)
        self._tracker = self._make()
        self._tracker.init(_bgr(image), tuple(max(round(v), 0) for v in values.tolist()))
        self._box = values.tolist()

    def track(self, image: np.ndarray, info: Mapping[str, Any] | None = None) -> Output:
        """See `BaseTracker.track`; the score is 1, or 0 where the target is lost."""
        if self._tracker is None:
            raise RuntimeError("call initialize(image, box) before track(image)")
        check_rgb(image)
        ok, box = self._tracker.update(_bgr(image))
        if ok:
            self._box = [float(v) for v in box]
        return Output(list(self._box), float(ok))

    def for_new_target(self) -> "OpenCVTracker":
        return OpenCVTracker(self.name)

    def crop_search_region(self, image: np.ndarray) -> np.ndarray:
        return image

    @staticmethod
    def track_batch(
        trackers: Sequence["OpenCVTracker"], views: Sequence[np.ndarray]
    ) -> list[Output]:
        return [tracker.track(view) for tracker, view in zip(trackers, views, strict=True)]


def _bgr(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
