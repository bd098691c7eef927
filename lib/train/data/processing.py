"""From three frames and boxes to one sample: change frames, lay and cut windows, change crops.

Source: spec section 4; windows are those of lib/utils/crop.py. All randomness is of the generator
handed in.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from easydict import EasyDict

from lib.config.aiatrack.config import STRIDE
from lib.train.data.batch import CompactSample
from lib.train.data.processing_utils import Jitter, draw_proposals, jitter_box
from lib.train.data.transforms import (
    FLIP,
    ChangedCrop,
    FrameChange,
    change_box,
    change_crop,
    cut_changed,
    draw_crop_change,
    draw_frame_change,
)
from lib.utils.crop import Crop


class UnusableSample(ValueError):
    """A draw without anything to learn from; another one is to be made."""


class SearchConfig(NamedTuple):
    """How windows are laid."""

    size: int  # S, pixels of the crop
    factor: float  # side of the window over sqrt(box area)
    first: Jitter  # of the first reference
    others: Jitter  # of the second reference and the search frame
    flip: float = FLIP  # chance that a crop is mirrored by itself


def read_search_config(cfg: EasyDict) -> SearchConfig:
    """Take the windows from a recipe."""
    search, template = cfg.DATA.SEARCH, cfg.DATA.TEMPLATE
    return SearchConfig(
        search.SIZE,
        search.FACTOR,
        Jitter(template.CENTER_JITTER, template.SCALE_JITTER),
        Jitter(search.CENTER_JITTER, search.SCALE_JITTER),
        cfg.DATA.CROP_FLIP,
    )


def make_sample(
    frames: Sequence[np.ndarray],
    boxes_xywh_image: np.ndarray,
    windows: SearchConfig,
    generator: np.random.Generator,
    source: str,
) -> CompactSample:
    """Make a sample of two references and a search frame, in temporal order.

    Args:
        frames: three (H, W, 3) uint8 RGB images, which may be one image.
        boxes_xywh_image: (3, 4) pixels.
        source: where they are from.

    Raises:
        UnusableSample: a window without a pixel, or with nothing but padding.
    """
    change = draw_frame_change(generator)
    jitters = (windows.first, windows.others, windows.others)
    views = [
        _make_crop(frame, box, change, windows, jitter, generator)
        for frame, box, jitter in zip(frames, boxes_xywh_image, jitters, strict=True)
    ]
    proposals = draw_proposals(views[-1].box_xywh, generator)
    return CompactSample(
        crops=torch.from_numpy(np.stack([view.image for view in views])),
        scales=torch.from_numpy(np.stack([view.scale for view in views])),
        masks=torch.from_numpy(np.stack([view.mask for view in views])),
        boxes=_tensor(np.stack([view.box_xywh for view in views])),
        proposals=_tensor(proposals.boxes_xywh),
        proposal_iou=_tensor(2 * proposals.iou - 1),
        source=source,
    )


def _make_crop(
    frame: np.ndarray,
    box_xywh_image: np.ndarray,
    change: FrameChange,
    windows: SearchConfig,
    jitter: Jitter,
    generator: np.random.Generator,
) -> ChangedCrop:
    """Cut a window near the box of a changed frame, change the crop."""
    box = change_box(box_xywh_image, frame.shape[1], change)
    try:
        window = Crop.around(jitter_box(box, jitter, generator), windows.factor, windows.size)
    except ValueError as error:
        raise UnusableSample(str(error)) from None
    cropped = cut_changed(window, frame, change)
    # The network sees the mask at its stride; where that is all padding, the whole mask may not be.
    if cropped.mask[::STRIDE, ::STRIDE].all():
        raise UnusableSample(f"the window {window} of box {box.tolist()} shows padding only")
    return change_crop(cropped, window.to_crop(box), draw_crop_change(generator, windows.flip))


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
