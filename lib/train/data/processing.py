"""From three frames and boxes to one sample: transform, lay windows, cut, transform again.

Source: docs/method.md, section 4. All randomness is of the generator handed in.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from easydict import EasyDict

from lib.config.aiatrack.requirements import STRIDE
from lib.train.data.batch import CompactSample
from lib.train.data.random_boxes import Jitter, beside_box, draw_proposals, jitter_box
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

# In fractions of the crop; what is scored where the target is absent lies around it.
CENTRED_BOX = np.array([0.32, 0.32, 0.36, 0.36])
LOST_CENTRE = 3.0  # jitter of marks on something else: 1.5 sizes to each side


class UnusableSample(ValueError):
    """A draw without anything to learn from; another one is to be made."""


class SearchConfig(NamedTuple):
    """How windows are laid."""

    size: int  # S, pixels of the crop
    factor: float  # side of the window over sqrt(box area)
    template: Jitter  # of the first reference
    search: Jitter  # of the second reference and the search frame
    flip: float = FLIP  # chance that a crop is mirrored by itself
    recent: Jitter = Jitter(0, 0)  # of where a frame is marked as a recent reference
    recent_lost: float = 0.0  # chance that it is marked on something else, as after a loss
    absent: float = 0.0  # chance that the search window shows nothing of the target


def read_search_config(cfg: EasyDict) -> SearchConfig:
    search, template = cfg.DATA.SEARCH, cfg.DATA.TEMPLATE
    return SearchConfig(
        search.SIZE,
        search.FACTOR,
        Jitter(template.CENTER_JITTER, template.SCALE_JITTER),
        Jitter(search.CENTER_JITTER, search.SCALE_JITTER),
        cfg.DATA.CROP_FLIP,
        Jitter(cfg.DATA.RECENT.CENTER_JITTER, cfg.DATA.RECENT.SCALE_JITTER),
        cfg.DATA.RECENT.LOST,
        cfg.DATA.ABSENT,
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
    absent = config.absent > 0 and generator.random() < config.absent
    jitters = (config.template, config.search, None if absent else config.search)
    crops = [
        _make_crop(frame, box, transform, config, jitter, generator)
        for frame, box, jitter in zip(frames, boxes_xywh_image, jitters, strict=True)
    ]
    images, scales, masks, boxes = map(np.stack, zip(*crops, strict=True))
    recent_boxes = np.stack([_mark_recent(box, config, generator) for box in boxes])
    proposals = draw_proposals(CENTRED_BOX if absent else crops[-1].box_xywh, generator)
    if absent:
        proposals.iou[:] = 0
    return CompactSample(
        crops=torch.from_numpy(images),
        scales=torch.from_numpy(scales),
        masks=torch.from_numpy(masks),
        boxes=torch.from_numpy(boxes).float(),
        recent_boxes=torch.from_numpy(recent_boxes).float(),
        proposals=torch.from_numpy(proposals.boxes_xywh).float(),
        proposal_iou=torch.from_numpy(2 * proposals.iou - 1).float(),
        source=source,
    )


def _mark_recent(
    box_xywh: np.ndarray, config: SearchConfig, generator: np.random.Generator
) -> np.ndarray:
    """Where a recent reference is marked whose target is at a box (4,)."""
    if config.recent_lost and generator.random() < config.recent_lost:
        return jitter_box(box_xywh, Jitter(LOST_CENTRE, config.recent.scale), generator)
    if config.recent == (0, 0):
        return box_xywh
    error = generator.random()  # times the most
    return jitter_box(box_xywh, Jitter(*(error * most for most in config.recent)), generator)


def _make_crop(
    frame: np.ndarray,
    box_xywh_image: np.ndarray,
    transform: FrameTransform,
    config: SearchConfig,
    jitter: Jitter | None,
    generator: np.random.Generator,
) -> TransformedCrop:
    """Cut a window and transform it; without a jitter it shows nothing of the box."""
    box = transform_box(box_xywh_image, frame.shape[1], transform)
    if jitter is None:
        near = beside_box(box, config.factor, generator)
    else:
        near = jitter_box(box, jitter, generator)
    try:
        window = Crop.around(near, config.factor, config.size)
    except ValueError as error:
        raise UnusableSample(str(error)) from None
    cropped = cut_transformed(window, frame, transform)
    crop_transform = draw_crop_transform(generator, config.flip)
    crop = transform_crop(cropped, window.to_crop(box), crop_transform)
    # The network sees the mask at its stride; where that is all padding, the whole mask may not be.
    if crop.mask[::STRIDE, ::STRIDE].all():
        raise UnusableSample(f"the window {window} of box {box.tolist()} shows padding only")
    return crop
