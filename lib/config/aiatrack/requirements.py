"""What the values of a recipe must be: choices, ranges, dimensions that fit, entries of lists.

config.py checks them, after their types.
"""

import math
from collections.abc import Iterator
from numbers import Real
from typing import Any

from easydict import EasyDict

from lib.config.aiatrack.names import DATASETS, are_layers, is_backbone, is_dataset

STRIDE = 16  # pixels of the crop per cell of the feature map
LARGEST = 2**31 - 1  # of whole numbers

# Keys with a fixed set of values.
CHOICES: dict[str, tuple] = {
    "MODEL.HEAD_TYPE": ("CORNER",),
    "MODEL.POSITION_EMBEDDING": ("sine",),
    "MODEL.PREDICT_MASK": (False,),
    "MODEL.TARGET_CELLS": ("rounded", "coverage"),
    "MODEL.SCORE": ("iou", "iou_sharpness"),
    "MODEL.BACKBONE.OUTPUT_LAYERS": (["layer3"],),
    "MODEL.BACKBONE.DILATION": (False,),
    "MODEL.TRANSFORMER.DEC_LAYERS": (1,),
    "MODEL.TRANSFORMER.PRE_NORM": (False,),
    "MODEL.AIA.WHERE": ("both", "self", "cross"),
    "TRAIN.OPTIMIZER": ("ADAMW",),
    "TRAIN.SCHEDULER.TYPE": ("step", "cosine"),
}

POSITIVE = """
MODEL.HIDDEN_DIM MODEL.TRANSFORMER.NHEADS MODEL.TRANSFORMER.DIM_FEEDFORWARD
MODEL.TRANSFORMER.ENC_LAYERS MODEL.AIA.MATCH_DIM MODEL.AIA.FEAT_SIZE
TRAIN.LR TRAIN.EPOCH TRAIN.BATCH_SIZE TRAIN.PRINT_INTERVAL TRAIN.VAL_EPOCH_INTERVAL
TRAIN.GRAD_CLIP_NORM TRAIN.SCHEDULER.DECAY_RATE
DATA.MAX_SAMPLE_INTERVAL DATA.TRAIN.SAMPLE_PER_EPOCH DATA.SEARCH.SIZE DATA.SEARCH.FACTOR
TEST.SEARCH_SIZE TEST.SEARCH_FACTOR TEST.EPOCH
""".split()
NOT_NEGATIVE = """
TRAIN.WEIGHT_DECAY TRAIN.NUM_WORKER TRAIN.LR_DROP_EPOCH TRAIN.BACKBONE_MULTIPLIER
TRAIN.SCHEDULER.WARMUP_EPOCHS TRAIN.GIOU_WEIGHT TRAIN.L1_WEIGHT TRAIN.IOU_WEIGHT TRAIN.CORNER_WEIGHT
DATA.SEARCH.CENTER_JITTER DATA.SEARCH.SCALE_JITTER
DATA.TEMPLATE.CENTER_JITTER DATA.TEMPLATE.SCALE_JITTER
DATA.RECENT.CENTER_JITTER DATA.RECENT.SCALE_JITTER
""".split()


def requirements(cfg: EasyDict, flat: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Yield (key, what is allowed, whether the value is); each may assume those before it."""
    for key, choices in CHOICES.items():
        yield key, " or ".join(map(repr, choices)), flat[key] in choices
    for key in POSITIVE:
        yield key, "above 0", flat[key] > 0
    for key in NOT_NEGATIVE:
        yield key, "0 or more", flat[key] >= 0
    yield "MODEL.TRANSFORMER.DROPOUT", "in [0, 1)", 0 <= cfg.MODEL.TRANSFORMER.DROPOUT < 1
    for key in ("DATA.CROP_FLIP", "DATA.RECENT.LOST", "DATA.ABSENT", "TEST.LOST_BELOW"):
        yield key, "in [0, 1]", 0 <= flat[key] <= 1
    yield from _dimensions(cfg)
    yield from _lists(cfg, flat)


def _dimensions(cfg: EasyDict) -> Iterator[tuple[str, str, bool]]:
    """Widths and sizes that must fit each other."""
    width, heads = cfg.MODEL.HIDDEN_DIM, cfg.MODEL.TRANSFORMER.NHEADS
    allowed = f"divisible by MODEL.TRANSFORMER.NHEADS ({heads})"
    yield "MODEL.HIDDEN_DIM", allowed, width % heads == 0
    allowed = "divisible by 8 (position encoding, corner head)"
    yield "MODEL.HIDDEN_DIM", allowed, width % 8 == 0
    allowed = "divisible by 4 (position encoding)"
    yield "MODEL.AIA.MATCH_DIM", allowed, cfg.MODEL.AIA.MATCH_DIM % 4 == 0
    size, test_size = cfg.DATA.SEARCH.SIZE, cfg.TEST.SEARCH_SIZE
    yield "DATA.SEARCH.SIZE", f"divisible by the stride {STRIDE}", size % STRIDE == 0
    yield "TEST.SEARCH_SIZE", f"divisible by the stride {STRIDE}", test_size % STRIDE == 0
    cells = (size // STRIDE) ** 2
    allowed = f"{cells}, that is (DATA.SEARCH.SIZE / {STRIDE})^2 with size {size}"
    yield "MODEL.AIA.FEAT_SIZE", allowed, cfg.MODEL.AIA.FEAT_SIZE == cells
    allowed = f"equal to DATA.SEARCH.SIZE ({size}): the network's FEAT_SIZE is fixed"
    yield "TEST.SEARCH_SIZE", allowed, test_size == size


def _lists(cfg: EasyDict, flat: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Lists, whose entries the defaults do not check."""
    for key in ("DATA.MEAN", "DATA.STD"):
        yield key, "3 numbers, R, G, B", len(flat[key]) == 3 and all(map(is_number, flat[key]))
    yield "DATA.STD", "above 0", min(cfg.DATA.STD) > 0
    yield "MODEL.BACKBONE.TYPE", *is_backbone(cfg.MODEL.BACKBONE.TYPE)
    yield "TRAIN.FREEZE_LAYERS", *are_layers(cfg.MODEL.BACKBONE.TYPE, cfg.TRAIN.FREEZE_LAYERS)
    yield "DATA.TRAIN.DATASETS_NAME", "one data set or more", bool(cfg.DATA.TRAIN.DATASETS_NAME)
    for part in ("TRAIN", "VAL"):
        key, allowed = f"DATA.{part}.DATASETS_NAME", f"a list of {', '.join(DATASETS)}"
        yield key, allowed, all(map(is_dataset, flat[key]))
        ratios, count = cfg.DATA[part].DATASETS_RATIO, len(cfg.DATA[part].DATASETS_NAME)
        names = f"DATA.{part}.DATASETS_NAME ({count})"
        allowed = f"one number of 0 or more per entry of {names}, not all 0"
        are_ratios = all(is_number(ratio) and ratio >= 0 for ratio in ratios)
        ok = len(ratios) == count and are_ratios and (sum(ratios) > 0 or count == 0)
        yield f"DATA.{part}.DATASETS_RATIO", allowed, ok


def is_number(value: object) -> bool:
    """Whether a value is a finite number."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False
