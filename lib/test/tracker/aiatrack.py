"""AiATrack on a video: one frame in, one box out; several targets at once where wanted.

Source: spec section 3. The network computes, the memory remembers, this file steps. Trackers that
share a network (`for_new_target`) step together in one pass of it (`track_batch`); one alone is a
batch of one. x
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lib.models.aiatrack.aiatrack import AiATrack, Encoded
from lib.models.aiatrack.transformer import References
from lib.test.parameter.aiatrack import TrackerParams
from lib.test.tracker.basetracker import Output
from lib.test.tracker.memory import ReferenceMemory, stack_references, unbind_references
from lib.utils.box_ops import clip_xywh_image, xyxy_to_xywh
from lib.utils.crop import Crop, CropImage
from lib.utils.image import check_rgb


class SearchRegion(NamedTuple):
    """What a tracker sees of a frame."""

    crop: Crop  # the window
    cut: CropImage  # what it shows
    frame_size: tuple[int, int]  # width, height of the whole frame, pixels


class NetworkOutput(NamedTuple):
    """What the network says about B views."""

    box_crop: Tensor  # (B, 4) xywh in fractions of the windows
    score: Tensor  # (B, 1) predicted 2 * IoU - 1
    encoded: Encoded | References  # what `_memorize` makes references of, or they themselves


class AiATrackTracker:
    """Follows one target; the network may be shared by several of these."""

    def __init__(self, model: AiATrack, params: TrackerParams, device: torch.device) -> None:
        """Put the network on its device, in evaluation mode."""
        self.model = model.to(device).eval()
        self.params = params
        self.device = device
        self.memory: ReferenceMemory | None = None
        self.box: list[float] = []  # x, y, w, h in image pixels, of the last frame
        self.raw_score = float("nan")  # of the last frame, as the IoU head gives it

    def for_new_target(self) -> "AiATrackTracker":
        """Make a tracker for another target around the same network."""
        return type(self)(self.model, self.params, self.device)

    @torch.inference_mode()
    def initialize(self, image: np.ndarray, box: Sequence[float] | Mapping[str, Any]) -> None:
        """Start on a frame.

        Args:
            image: (H, W, 3) uint8 RGB.
            box: x, y, w, h in pixels, or a dictionary with that under "init_bbox".

        Raises:
            TypeError, ValueError: not such an image; a box that is not 4 finite numbers, has a side
                that is not positive, or lies outside the image.
        """
        check_rgb(image)
        box = check_box(box["init_bbox"] if isinstance(box, Mapping) else box, image)
        view = self._view(image, box)
        with self._without_tf32():
            box_crop = self._tensor(view.crop.to_crop(box)[None])
            first = self._memorize_first(*self._tensors([view]), box_crop)
        self.memory = ReferenceMemory(first, self.params.capacity, self.params.ensemble)
        self.box = [float(v) for v in box]

    def track(self, image: np.ndarray, info: Mapping[str, Any] | None = None) -> Output:
        """Find the target in the next frame.

        Args:
            image: (H, W, 3) uint8 RGB.
            info: accepted for callers that pass one; nothing in it is needed.

        Raises:
            RuntimeError: `initialize` was not called. TypeError, ValueError: not such an image.
        """
        return self.track_batch([self], [self.crop_search_region(image)])[0]

    def crop_search_region(self, image: np.ndarray) -> SearchRegion:
        """Cut the window to search out of the next frame; `track_batch` takes it from there.

        Whatever can be wrong with one target's frame shows here, before it joins others, and
        several trackers may look in several threads.

        Raises:
            RuntimeError, TypeError: see `track`.
            ValueError: likewise; or the last box was not finite, so that there is no window.
        """
        if self.memory is None:
            raise RuntimeError("call initialize(image, box) before track(image)")
        return self._view(check_rgb(image), self.box)

    @staticmethod
    @torch.inference_mode()
    def track_batch(
        trackers: Sequence["AiATrackTracker"], views: Sequence[SearchRegion]
    ) -> list[Output]:
        """Find the targets of several trackers in one pass of the network that they share.

        Args:
            trackers: made by `for_new_target` of one of them; each at most once.
            views: what each sees (`crop_search_region`), in the same order.

        Raises:
            ValueError: trackers of different networks or settings.
        """
        lead = trackers[0]
        if any(t.model is not lead.model or t.params != lead.params for t in trackers):
            raise ValueError("trackers can step together only if they share network and settings")
        first = stack_references([t.memory.first for t in trackers])
        recent = stack_references([t.memory.recent for t in trackers])
        with lead._without_tf32():
            found = lead._search(*lead._tensors(views), first, recent)
            rows = torch.cat([found.box_crop, found.score], 1).double().cpu().numpy()  # (B, 5)
            sure = [i for i, row in enumerate(rows) if row[4] > lead.params.threshold]
            for i, references in zip(sure, lead._memorize(found, sure), strict=True):
                trackers[i].memory.memorize(references)
        return [t._update_state(v, row) for t, v, row in zip(trackers, views, rows, strict=True)]

    def _view(self, image: np.ndarray, box: Sequence[float] | np.ndarray) -> SearchRegion:
        """Lay the window around a box (xywh, image pixels) and cut it out."""
        crop = Crop.around(box, self.params.search_factor, self.params.search_size)
        return SearchRegion(crop, crop.cut(image), (image.shape[1], image.shape[0]))

    def _memorize_first(self, image: Tensor, mask: Tensor, box_crop: Tensor) -> References:
        """References of the first frame, (1, 3, S, S) and (1, S, S), and its (1, 4) xywh box."""
        return self.model.memorize(self.model.encode(image, mask), box_crop)

    def _search(
        self, image: Tensor, mask: Tensor, first: References, recent: References
    ) -> NetworkOutput:
        """Boxes and scores in B windows, (B, 3, S, S) and (B, S, S), with B rows of references."""
        encoded = self.model.encode(image, mask)
        features = self.model.decode(encoded, first, recent)
        box_crop = xyxy_to_xywh(self.model.box_head(features))  # (B, 4)
        return NetworkOutput(box_crop, self.model.iou_head(features, box_crop[:, None]), encoded)

    def _memorize(self, found: NetworkOutput, rows: list[int]) -> list[References]:
        """Turn some rows of what was found into references, each with memory of its own."""
        if not rows:
            return []
        encoded, box_crop = found.encoded, found.box_crop
        if len(rows) < len(box_crop):
            encoded, box_crop = Encoded(*(x[rows] for x in encoded)), box_crop[rows]
        return unbind_references(self.model.memorize(encoded, box_crop, long_term=False), len(rows))

    def _update_state(self, view: SearchRegion, row: np.ndarray) -> Output:
        """Note where the target is; row: x, y, w, h in fractions of the window, raw score."""
        box = view.crop.to_image(row[:4])
        self.box = clip_xywh_image(box, *view.frame_size).tolist()
        self.raw_score = float(row[4])
        return Output(list(self.box), min(max((self.raw_score + 1) / 2, 0.0), 1.0))

    def _tensors(self, views: Sequence[SearchRegion]) -> tuple[Tensor, Tensor]:
        """Put B views on the device: images (B, 3, S, S) in [0, 1], masks (B, S, S)."""
        pixels = torch.from_numpy(np.stack([v.cut.image for v in views])).to(self.device)
        masks = torch.from_numpy(np.stack([v.cut.mask for v in views])).to(self.device)
        images = pixels.permute(0, 3, 1, 2)  # (B, 3, S, S), in the plain order of memory from here
        return images.to(torch.float32, memory_format=torch.contiguous_format) / 255, masks

    def _tensor(self, array: np.ndarray) -> Tensor:
        """Copy an array to the device as float32."""
        return torch.from_numpy(array).float().to(self.device)

    def _without_tf32(self) -> Any:
        """Keep cuDNN's convolutions in fp32: TF32, its default, moves boxes."""
        return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def check_box(box: Any, image: np.ndarray) -> np.ndarray:
    """Return a target's box as (4,) float64 if a tracker can start on it.

    Args:
        box: x, y, w, h in pixels, any sequence, array or tensor of 4.
        image: (H, W, 3).

    Raises:
        ValueError: not 4 finite numbers, a side that is not positive, or wholly outside the image.
    """
    try:
        values = np.asarray(box, np.float64).reshape(-1)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != (4,) or not np.isfinite(values).all():
        raise ValueError(f"the target's box must be 4 finite numbers x, y, w, h; given: {box!r}")
    x, y, w, h = values.tolist()
    if w <= 0 or h <= 0:
        raise ValueError(f"the target's width and height must be above 0; given: {values.tolist()}")
    height, width = image.shape[:2]
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise ValueError(
            f"the target's box {values.tolist()} lies outside the {width} x {height} image"
        )
    return values
