"""AiATrack on a video: one frame in, one box out; several targets at once where wanted.

Source: docs/method.md, section 3. Trackers that share a network (`for_new_target`) step together in
one pass of it (`track_batch`); one alone is a batch of one. Everything but the network is here, in
NumPy; neighbours: aiatrack.py has the network in PyTorch, onnx_tracker.py in ONNX Runtime.
"""

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from typing_extensions import Self

from lib.models.aiatrack.references import References
from lib.test.parameter.aiatrack import TrackerParams
from lib.test.tracker.basetracker import Output
from lib.test.tracker.inputs import Image, as_rgb
from lib.test.tracker.memory import ReferenceMemory
from lib.test.tracker.video_tracker import NOT_STARTED, VideoTracker
from lib.utils.box_ops import clip_xywh_image
from lib.utils.crop import Crop, CropImage
from lib.utils.image import check_rgb

Network = TypeVar("Network")


class SearchRegion(NamedTuple):
    """What a tracker sees of a frame."""

    crop: Crop  # the window
    cut: CropImage  # what it shows
    frame_size: tuple[int, int]  # width, height of the whole frame, pixels


class NetworkOutput(NamedTuple):
    """What the network says about B search regions."""

    rows: np.ndarray  # (B, 5) float64 x, y, w, h in fractions of the windows, predicted 2 * IoU - 1
    memorize: Callable[[list[int]], list[References]]  # some rows as references, one video each


class ReferenceTracker(VideoTracker, Generic[Network]):
    """Follows one target by remembered frames; several of these may share the network."""

    def __init__(self, model: Network, params: TrackerParams) -> None:
        super().__init__(params)
        self.model = model

    def for_new_target(self) -> Self:
        """Make a tracker for another target around the same network."""
        other = copy.copy(self)
        other.box, other.raw_score, other._memory = [], float("nan"), None
        return other

    def initialize(
        self, image: Image, box: Sequence[float] | Mapping[str, Any], *, bgr: bool = False
    ) -> None:
        """See `BaseTracker.initialize`; images as `as_rgb` takes them.

        Raises:
            TypeError, ValueError: not such an image; a box that `check_box` refuses.
        """
        image = as_rgb(image, bgr=bgr)
        box_xywh_image = check_box(box["init_bbox"] if isinstance(box, Mapping) else box, image)
        region = self._region(image, box_xywh_image)
        box_xywh_crop = region.crop.to_crop(box_xywh_image)[None].astype(np.float32)
        with self.computing():
            first = self._memorize_first(region, box_xywh_crop)
            self._memory = ReferenceMemory(first, self.params.capacity, self.params.ensemble)
        self.box = box_xywh_image.tolist()

    def track(
        self, image: Image, info: Mapping[str, Any] | None = None, *, bgr: bool = False
    ) -> Output:
        """See `BaseTracker.track`; images as `as_rgb` takes them.

        Raises:
            RuntimeError: `initialize` was not called. TypeError, ValueError: not such an image.
        """
        return self.track_batch([self], [self.crop_search_region(as_rgb(image, bgr=bgr))])[0]

    def crop_search_region(self, image: np.ndarray) -> SearchRegion:
        """Cut the window to search out of the next frame, for `track_batch`; safe in threads.

        Whatever can be wrong with one target's frame shows here, before it joins others.

        Raises:
            RuntimeError, TypeError, ValueError: see `track`; or the last box was not finite.
        """
        if self._memory is None:
            raise RuntimeError(NOT_STARTED)
        return self._region(check_rgb(image), np.array(self.box))

    @classmethod
    def track_batch(cls, trackers: Sequence[Self], regions: Sequence[SearchRegion]) -> list[Output]:
        """Find the targets of several trackers in one pass of the network that they share.

        Args:
            trackers: made by `for_new_target` of one of them; each at most once.
            regions: what each sees (`crop_search_region`), in the same order.

        Raises:
            ValueError: trackers of different networks or settings.
        """
        leader = trackers[0]
        if any(t.model is not leader.model or t.params != leader.params for t in trackers):
            raise ValueError("trackers can step together only if they share network and settings")
        memories = [tracker.memory for tracker in trackers]
        with leader.computing():
            output = leader._search(regions, memories)
            # Memorize the frames with a score above the threshold.
            scores = output.rows[:, 4]
            confident = [i for i, score in enumerate(scores) if score > leader.params.threshold]
            for i, references in zip(confident, output.memorize(confident), strict=True):
                memories[i].memorize(references)
        # Map the boxes back into the images.
        steps = zip(trackers, regions, output.rows, strict=True)
        return [tracker._update_state(region, row) for tracker, region, row in steps]

    @abstractmethod
    def _memorize_first(self, region: SearchRegion, box_xywh_crop: np.ndarray) -> References:
        """References of the first frame and its (1, 4) box, float32, in fractions of the window."""

    @abstractmethod
    def _search(
        self, regions: Sequence[SearchRegion], memories: Sequence[ReferenceMemory]
    ) -> NetworkOutput:
        """Boxes and scores in B windows, by what is remembered of each video."""

    def computing(self) -> AbstractContextManager[Any]:
        """Wherein the network runs, and references are put together."""
        return nullcontext()

    def _region(self, image: np.ndarray, box_xywh_image: np.ndarray) -> SearchRegion:
        crop = Crop.around(box_xywh_image, self.params.search_factor, self.params.search_size)
        return SearchRegion(crop, crop.cut(image), (image.shape[1], image.shape[0]))

    def _update_state(self, region: SearchRegion, row: np.ndarray) -> Output:
        """row: x, y, w, h in fractions of the window, raw score."""
        box_xywh_image = region.crop.to_image(row[:4])
        self.box = clip_xywh_image(box_xywh_image, *region.frame_size).tolist()
        self.raw_score = float(row[4])
        score = min(max((self.raw_score + 1) / 2, 0.0), 1.0)
        return Output(list(self.box), score, score < self.params.lost_below)


def check_box(box: Any, image: np.ndarray) -> np.ndarray:
    """Return a box xywh in pixels of an (H, W, 3) image as (4,) float64 if one can start on it.

    Raises:
        ValueError: not 4 finite numbers, a side that is not positive, or wholly outside the image.
    """
    try:
        values = np.asarray(box, np.float64).reshape(-1)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != (4,) or not np.isfinite(values).all():
        raise ValueError(f"the target's box must be 4 finite numbers x, y, w, h; given: {box!r}")
    x, y, w, h = xywh = values.tolist()
    if w <= 0 or h <= 0:
        raise ValueError(f"the target's width and height must be above 0; given: {xywh}")
    height, width = image.shape[:2]
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise ValueError(f"the target's box {xywh} lies outside the {width} x {height} image")
    return values
