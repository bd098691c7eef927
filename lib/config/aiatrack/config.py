"""Defaults of the published recipe, and YAML files read over them with every mistake named.

Source: docs/method.md, section 5. Modules take values, never this object: it is checked here, once.
"""

import contextlib
import functools
import logging
import math
from collections.abc import Iterator
from numbers import Real
from pathlib import Path
from typing import Any

import yaml
from easydict import EasyDict

from lib.utils.paths import PROJECT_ROOT

logger = logging.getLogger(__name__)

EXPERIMENTS = PROJECT_ROOT / "experiments" / "aiatrack"
SUFFIXES = (".yaml", ".yml")  # by which a path is told from a name
DEFAULTS = Path(__file__).with_name("defaults.yaml")  # every key, with a value of the key's type
STRIDE = 16  # pixels of the crop per cell of the feature map

# Keys of the published recipes that nothing reads; any value of the right type is accepted.
NO_EFFECT = ("MODEL.NUM_OBJECT_QUERIES", "MODEL.TRANSFORMER.DIVIDE_NORM", "TRAIN.DEEP_SUPERVISION")

# Keys with a fixed set of values.
CHOICES: dict[str, tuple] = {
    "MODEL.HEAD_TYPE": ("CORNER",),
    "MODEL.POSITION_EMBEDDING": ("sine",),
    "MODEL.PREDICT_MASK": (False,),
    "MODEL.TARGET_CELLS": ("rounded", "coverage"),
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

TYPE_NAMES = {
    float: "a number",
    int: "a whole number",
    bool: "True or False",
    str: "a string",
    list: "a list",
}


class ConfigError(ValueError):
    """A recipe that cannot be used: names the key, its value and what is allowed."""


def load_config(config: str | Path = "baseline") -> EasyDict:
    """Read a recipe.

    Args:
        config: a name such as "baseline" (experiments/aiatrack/baseline.yaml) or the path of a YAML
            file.

    Returns:
        The defaults with the file's values over them; nested attributes, `cfg.MODEL.HIDDEN_DIM`.

    Raises:
        FileNotFoundError: no such recipe; the message lists those there are.
        ConfigError: a syntax error, an unknown key, a wrong type or an impossible value.
    """
    path = find_recipe(config)
    values = _read_values(path)
    try:
        return make_config(values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _read_values(path: Path) -> dict[str, Any]:
    """Read a recipe's values, over those of the recipe that its BASE names, which has none."""
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(values, dict):
        kind = type(values).__name__
        raise ConfigError(f"{path}: a recipe is a mapping of sections, not a {kind}")
    if (base := values.pop("BASE", None)) is None:
        return values
    if not isinstance(base, str):
        raise ConfigError(f"{path}: BASE must be a recipe's name; given: {base!r}")
    below = _read_values(find_recipe(base)) if recipe_name(base) != path.stem else {"BASE": base}
    if "BASE" in below:
        raise ConfigError(f"{path}: BASE must be another recipe; given: {base!r}")
    return _over(below, values)


def _over(below: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Lay nested dictionaries over others."""
    both = {
        key: _over(below[key], value)
        for key, value in values.items()
        if isinstance(value, dict) and isinstance(below.get(key), dict)
    }
    return {**below, **values, **both}


def make_config(values: dict[str, Any] | None = None) -> EasyDict:
    """Lay a nested dictionary over the defaults and check the result; raises ConfigError."""
    cfg = EasyDict(_merge(_defaults(), values or {}))
    for key in flatten(values or {}):
        if key in NO_EFFECT:
            _warn_no_effect(key)
    flat = flatten(cfg)
    for key, allowed, ok in _requirements(cfg, flat):
        if not ok:
            raise ConfigError(f"{key} must be {allowed}; given: {flat[key]!r}")
    for name, hyper in cfg.TEST.HYPER.items():
        check_hyper(hyper, f"TEST.HYPER.{name}")
    return cfg


def recipe_name(config: str | Path) -> str:
    """Name of a recipe given by name or path; it names the folders of weights and results."""
    path = Path(config)
    return path.stem if path.suffix in SUFFIXES else path.name


def recipe_names() -> list[str]:
    """Names of the recipes in experiments/."""
    return sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values of nested dictionaries by their dotted keys, such as "MODEL.AIA.WHERE"."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


@functools.cache
def _defaults() -> dict:
    """Read the defaults, once; `_merge` copies them."""
    return yaml.safe_load(DEFAULTS.read_text(encoding="utf-8"))


def find_recipe(config: str | Path) -> Path:
    """File of a recipe given by name or path; raises FileNotFoundError."""
    by_path = Path(config).suffix in SUFFIXES
    path = Path(config) if by_path else EXPERIMENTS / f"{config}.yaml"
    if by_path and not path.is_file():
        raise FileNotFoundError(f"no recipe at {path}")
    if not path.is_file():
        text = f"there are: {', '.join(recipe_names())} (or give a .yaml path)"
        raise FileNotFoundError(f"no recipe {config!r} in {EXPERIMENTS}; {text}")
    return path


@functools.cache
def _warn_no_effect(key: str) -> None:
    """Warn about a key once per process."""
    logger.warning("%s has no effect: nothing in AiATrack reads it", key)


def _merge(default: dict, values: dict, prefix: str = "") -> dict:
    """Lay `values` over `default`, refusing keys and types that the defaults do not have."""
    merged = {k: _merge(v, {}) if isinstance(v, dict) else v for k, v in default.items()}
    for key, value in values.items():
        path = f"{prefix}{key}"
        if key not in default:
            if prefix != "TEST.HYPER.":  # which has any benchmark's name
                section = prefix.rstrip(".") or "the top level"
                raise ConfigError(f"unknown key {path}; {section} has: {', '.join(default)}")
            merged[key] = value
        elif not isinstance(default[key], dict):
            merged[key] = _convert(path, value, default[key])
        elif isinstance(value, dict):
            merged[key] = _merge(default[key], value, f"{path}.")
        else:
            keys = ", ".join(default[key])
            raise ConfigError(f"{path} is a section with keys {keys}, not {value!r}")
    return merged


def _convert(path: str, value: Any, default: Any) -> Any:
    """Check a value's type against the default's.

    Whole numbers may stand for floats, and so may '1e-4', which is a string to YAML.
    """
    if type(value) is type(default):
        return list(value) if isinstance(value, list) else value
    is_bool = isinstance(value, bool)
    if isinstance(default, float) and isinstance(value, int | float | str) and not is_bool:
        with contextlib.suppress(ValueError):
            return float(value)
    expected = TYPE_NAMES[type(default)]
    raise ConfigError(f"{path} must be {expected}, such as {default!r}; given: {value!r}")


def _requirements(cfg: EasyDict, flat: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Yield (key, what is allowed, whether the value is); each may assume those before it."""
    for key, choices in CHOICES.items():
        yield key, " or ".join(map(repr, choices)), flat[key] in choices
    for key in POSITIVE:
        yield key, "above 0", flat[key] > 0
    for key in NOT_NEGATIVE:
        yield key, "0 or more", flat[key] >= 0
    yield "MODEL.TRANSFORMER.DROPOUT", "in [0, 1)", 0 <= cfg.MODEL.TRANSFORMER.DROPOUT < 1
    for key in ("DATA.CROP_FLIP", "DATA.ABSENT", "TEST.LOST_BELOW"):
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
        yield key, "3 numbers, R, G, B", len(flat[key]) == 3 and all(map(_is_number, flat[key]))
    yield "DATA.STD", "above 0", min(cfg.DATA.STD) > 0
    are_names = all(isinstance(name, str) for name in cfg.TRAIN.FREEZE_LAYERS)
    yield "TRAIN.FREEZE_LAYERS", "a list of names", are_names
    yield "DATA.TRAIN.DATASETS_NAME", "one data set or more", bool(cfg.DATA.TRAIN.DATASETS_NAME)
    for part in ("TRAIN", "VAL"):
        ratios, count = cfg.DATA[part].DATASETS_RATIO, len(cfg.DATA[part].DATASETS_NAME)
        names = f"DATA.{part}.DATASETS_NAME ({count})"
        allowed = f"one number of 0 or more per entry of {names}, not all 0"
        are_ratios = all(_is_number(ratio) and ratio >= 0 for ratio in ratios)
        ok = len(ratios) == count and are_ratios and (sum(ratios) > 0 or count == 0)
        yield f"DATA.{part}.DATASETS_RATIO", allowed, ok


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_hyper(hyper: Any, source: str) -> tuple[int, int, float]:
    """Return (capacity, ensemble, threshold), checked.

    Raises:
        ConfigError: names `source`, where the values come from.
    """
    message = (
        f"{source} must be [capacity, ensemble, threshold]: whole numbers of at least 2 and 1, "
        f"and a number on the IoU head's own scale (2 * IoU - 1); given: {hyper!r}"
    )
    try:
        capacity, ensemble, threshold = hyper
    except (TypeError, ValueError):
        raise ConfigError(message) from None
    if any(isinstance(v, bool) or not isinstance(v, Real) for v in (capacity, ensemble, threshold)):
        raise ConfigError(message)
    are_whole = capacity == int(capacity) and ensemble == int(ensemble)
    if not are_whole or capacity < 2 or ensemble < 1 or math.isnan(threshold):
        raise ConfigError(message)
    return int(capacity), int(ensemble), float(threshold)
