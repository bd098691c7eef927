"""From three frames and boxes to one sample: transform, lay windows, cut, transform again.

Source: docs/method.md, section 4. All randomness is of the generator handed in.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from easydict import EasyDict

from lib.config.aiatrack.config import STRIDE
from lib.train.data.batch import CompactSample
from lib.train.data.random_boxes import Jitter, draw_proposals, jitter_box
from lib.train.data.transforms import (
    FLIP,
    FrameTransform,
    TransformedCrop,
    cut_transformed,
    draw_crop_transform,
    draw_frame_transform,
    transform_box,
    transform_crop,
)
from lib.utils.crop import Crop


class UnusableSample(ValueError):
    """A draw without anything to learn from; another one is to be made."""


class SearchConfig(NamedTuple):
    """How windows are laid."""

    size: int  # S, pixels of the crop
    factor: float  # side of the window over sqrt(box area)
    template: Jitter  # of the first reference
    search: Jitter  # of the second reference and the search frame
    flip: float = FLIP  # chance that a crop is mirrored by itself


def read_search_config(cfg: EasyDict) -> SearchConfig:
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
    config: SearchConfig,
    generator: np.random.Generator,
    source: str,
) -> CompactSample:
    """Make a sample of two references and a search frame, in temporal order.

    Args:
        frames: three (H, W, 3) uint8 RGB images, which may be one image.
        boxes_xywh_image: (3, 4) pixels.

    Raises:
        UnusableSample: a window without a pixel, or with nothing but padding.
    """
    transform = draw_frame_transform(generator)
    jitters = (config.template, config.search, config.search)
    crops = [
        _make_crop(frame, box, transform, config, jitter, generator)
        for frame, box, jitter in zip(frames, boxes_xywh_image, jitters, strict=True)
    ]
    images, scales, masks, boxes = map(np.stack, zip(*crops, strict=True))
    proposals = draw_proposals(crops[-1].box_xywh, generator)
    return CompactSample(
        crops=torch.from_numpy(images),
        scales=torch.from_numpy(scales),
        masks=torch.from_numpy(masks),
        boxes=torch.from_numpy(boxes).float(),
        proposals=torch.from_numpy(proposals.boxes_xywh).float(),
        proposal_iou=torch.from_numpy(2 * proposals.iou - 1).float(),
        source=source,
    )


def _make_crop(
    frame: np.ndarray,
    box_xywh_image: np.ndarray,
    transform: FrameTransform,
    config: SearchConfig,
    jitter: Jitter,
    generator: np.random.Generator,
) -> TransformedCrop:
    box = transform_box(box_xywh_image, frame.shape[1], transform)
    try:
        window = Crop.around(jitter_box(box, jitter, generator), config.factor, config.size)
    except ValueError as error:
        raise UnusableSample(str(error)) from None
    cropped = cut_transformed(window, frame, transform)
    crop_transform = draw_crop_transform(generator, config.flip)
    crop = transform_crop(cropped, window.to_crop(box), crop_transform)
    # The network sees the mask at its stride; where that is all padding, the whole mask may not be.
    if crop.mask[::STRIDE, ::STRIDE].all():
        raise UnusableSample(f"the window {window} of box {box.tolist()} shows padding only")
    return crop
