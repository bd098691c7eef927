"""AiATrack on a video: one frame in, one box out.

Source: spec section 3. The network computes, the memory remembers, this file steps.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.models.aiatrack.aiatrack import AiATrack
from lib.test.parameter.aiatrack import TrackerParams
from lib.test.tracker.basetracker import Output
from lib.test.tracker.memory import ReferenceMemory
from lib.utils.box_ops import clip_xywh_image, xyxy_to_xywh
from lib.utils.crop import Crop
from lib.utils.image import check_rgb


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
        crop = Crop.around(box, self.params.search_factor, self.params.search_size)
        with self._exact():
            encoded = self.model.encode(*self._tensors(crop, image))
            box_crop = self._tensor(crop.to_crop(box)[None])
            first = self.model.memorize(encoded, box_crop)
        self.memory = ReferenceMemory(first, self.params.capacity, self.params.ensemble)
        self.box = [float(v) for v in box]

    @torch.inference_mode()
    def track(self, image: np.ndarray, info: Mapping[str, Any] | None = None) -> Output:
        """Find the target in the next frame.

        Args:
            image: (H, W, 3) uint8 RGB.
            info: accepted for callers that pass one; nothing in it is needed.

        Raises:
            RuntimeError: `initialize` was not called. TypeError, ValueError: not such an image.
        """
        if self.memory is None:
            raise RuntimeError("call initialize(image, box) before track(image)")
        check_rgb(image)
        crop = Crop.around(self.box, self.params.search_factor, self.params.search_size)
        with self._exact():
            encoded = self.model.encode(*self._tensors(crop, image))
            features = self.model.decode(encoded, self.memory.first, self.memory.recent)
            box_crop = xyxy_to_xywh(self.model.box_head(features))  # (1, 4)
            score = self.model.iou_head(features, box_crop[:, None])  # (1, 1)
            if (raw_score := score.item()) > self.params.threshold:
                self.memory.remember(self.model.memorize(encoded, box_crop, long_term=False))
        box = crop.to_image(box_crop[0].double().cpu().numpy())
        self.box = clip_xywh_image(box, image.shape[1], image.shape[0]).tolist()
        self.raw_score = raw_score
        return Output(list(self.box), min(max((raw_score + 1) / 2, 0.0), 1.0))

    def _tensors(self, crop: Crop, image: np.ndarray) -> tuple[Tensor, Tensor]:
        """Cut a window -> image (1, 3, S, S) in [0, 1] and mask (1, S, S) on the device."""
        cut = crop.cut(image)
        pixels = torch.from_numpy(cut.image).to(self.device)
        mask = torch.from_numpy(cut.mask).to(self.device)
        return pixels.permute(2, 0, 1)[None].float() / 255, mask[None]

    def _tensor(self, array: np.ndarray) -> Tensor:
        """Copy an array to the device as float32."""
        return torch.from_numpy(array).float().to(self.device)

    def _exact(self) -> Any:
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
