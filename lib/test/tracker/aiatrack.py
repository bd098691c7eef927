"""AiATrack on a video: one frame in, one box out; several targets at once where wanted.

Source: docs/method.md, section 3. Trackers that share a network (`for_new_target`) step together in
one pass of it (`track_batch`); one alone is a batch of one.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import Self

from lib.checkpoint.digest import digest
from lib.models.aiatrack.aiatrack import AiATrack, Encoded
from lib.models.aiatrack.transformer import References
from lib.test.parameter.aiatrack import TrackerParams
from lib.test.tracker.basetracker import Output
from lib.test.tracker.inputs import Image, as_rgb, check_box
from lib.test.tracker.memory import ReferenceMemory, stack_references, unbind_references
from lib.test.tracker.video_tracker import NOT_STARTED, VideoTracker
from lib.utils.box_ops import clip_xywh_image, xyxy_to_xywh
from lib.utils.crop import Crop, CropImage
from lib.utils.image import check_rgb

Network = TypeVar("Network", bound=nn.Module)


class SearchRegion(NamedTuple):
    """What a tracker sees of a frame."""

    crop: Crop  # the window
    cut: CropImage  # what it shows
    frame_size: tuple[int, int]  # width, height of the whole frame, pixels


class NetworkOutput(NamedTuple):
    """What the network says about B search regions."""

    box_xywh_crop: Tensor  # (B, 4) in fractions of the windows
    score: Tensor  # (B, 1) predicted 2 * IoU - 1
    memorize: Callable[[list[int]], list[References]]  # some rows as references, one video each


class ReferenceTracker(VideoTracker, Generic[Network]):
    """Follows one target by remembered frames; several of these may share the network."""

    def __init__(self, model: Network, params: TrackerParams, device: torch.device) -> None:
        super().__init__(params, device)
        self.model = model.to(device).eval()

    def for_new_target(self) -> Self:
        """Make a tracker for another target around the same network."""
        return type(self)(self.model, self.params, self.device)

    @torch.inference_mode()
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
        box_xywh_crop = torch.from_numpy(region.crop.to_crop(box_xywh_image)[None]).float()
        with _without_tf32():
            first = self._memorize_first(*self._tensors([region]), box_xywh_crop.to(self.device))
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
    @torch.inference_mode()
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
        # Stack what each remembers, and search all windows in one pass.
        memories = [tracker.memory for tracker in trackers]
        first = stack_references([memory.first for memory in memories])
        recent = stack_references([memory.recent for memory in memories])
        with _without_tf32():
            output = leader._search(*leader._tensors(regions), first, recent)
            rows = torch.cat([output.box_xywh_crop, output.score], 1).double().cpu().numpy()
            # Memorize the frames with a score above the threshold.
            confident = [i for i, row in enumerate(rows) if row[4] > leader.params.threshold]
            for i, references in zip(confident, output.memorize(confident), strict=True):
                memories[i].memorize(references)
        # Map the boxes back into the images.
        steps = zip(trackers, regions, rows, strict=True)
        return [tracker._update_state(region, row) for tracker, region, row in steps]

    @abstractmethod
    def _memorize_first(self, image: Tensor, mask: Tensor, box_xywh_crop: Tensor) -> References:
        """References of the first frame, (1, 3, S, S) and (1, S, S), and its (1, 4) box."""

    @abstractmethod
    def _search(
        self, image: Tensor, mask: Tensor, first: References, recent: References
    ) -> NetworkOutput:
        """Boxes and scores in B windows, (B, 3, S, S) and (B, S, S), with B rows of references."""

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

    def _tensors(self, regions: Sequence[SearchRegion]) -> tuple[Tensor, Tensor]:
        """Put B regions on the device: images (B, 3, S, S) in [0, 1], masks (B, S, S)."""
        pixels = torch.from_numpy(np.stack([r.cut.image for r in regions])).to(self.device)
        masks = torch.from_numpy(np.stack([r.cut.mask for r in regions])).to(self.device)
        images = pixels.permute(0, 3, 1, 2)  # (B, 3, S, S), in the plain order of memory from here
        return images.to(torch.float32, memory_format=torch.contiguous_format) / 255, masks


class AiATrackTracker(ReferenceTracker[AiATrack]):
    """Follows one target with the network in PyTorch."""

    def _fingerprint(self) -> str:
        return digest({"box_head": dict(self.model.box_head.state_dict())})

    def _memorize_first(self, image: Tensor, mask: Tensor, box_xywh_crop: Tensor) -> References:
        return self.model.memorize(self.model.encode(image, mask), box_xywh_crop)

    def _search(
        self, image: Tensor, mask: Tensor, first: References, recent: References
    ) -> NetworkOutput:
        encoded = self.model.encode(image, mask)
        features = self.model.decode(encoded, first, recent)
        box_xywh_crop = xyxy_to_xywh(self.model.box_head(features))  # (B, 4)
        score = self.model.iou_head(features, box_xywh_crop[:, None])  # (B, 1)
        return NetworkOutput(box_xywh_crop, score, partial(self._memorize, encoded, box_xywh_crop))

    def _memorize(
        self, encoded: Encoded, box_xywh_crop: Tensor, rows: list[int]
    ) -> list[References]:
        """Make references of some rows, each with memory of its own."""
        if not rows:
            return []
        if len(rows) < len(box_xywh_crop):
            encoded = Encoded(encoded.tokens[rows], encoded.inner_pos[rows])
            box_xywh_crop = box_xywh_crop[rows]
        references = self.model.memorize(encoded, box_xywh_crop, long_term=False)
        return unbind_references(references, len(rows))


def _without_tf32() -> AbstractContextManager[None]:
    """Keep cuDNN's convolutions in fp32: TF32, its default, moves boxes."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
