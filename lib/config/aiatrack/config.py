"""Defaults of the published recipe, and YAML files read over them with every mistake named.

Source: spec section 5. Modules take values, never this object: it is checked here, at the edge,
once.
"""

import functools
import logging
import math
from collections.abc import Callable
from numbers import Real
from pathlib import Path
from typing import Any

import yaml
from easydict import EasyDict

logger = logging.getLogger(__name__)

EXPERIMENTS = Path(__file__).resolve().parents[3] / "experiments" / "aiatrack"
STRIDE = 16  # pixels of the crop per cell of the feature map

DEFAULTS = Path(__file__).with_name(
    "defaults.yaml"
)  # every key; its value's type is the key's type

# Keys of the published recipes that nothing reads; any value of the right type is accepted.
NO_EFFECT = ("MODEL.NUM_OBJECT_QUERIES", "MODEL.TRANSFORMER.DIVIDE_NORM", "TRAIN.DEEP_SUPERVISION")

# Keys with a fixed set of values.
CHOICES: dict[str, tuple] = {
    "MODEL.HEAD_TYPE": ("CORNER",),
    "MODEL.POSITION_EMBEDDING": ("sine",),
    "MODEL.PREDICT_MASK": (False,),
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
""".split()


class ConfigError(ValueError):
    """A recipe that cannot be used: says which key, what was given and what is allowed."""


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
    path = _find(config)
    try:
        given = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(given, dict):
        raise ConfigError(
            f"{path}: a recipe is a mapping of sections, not a {type(given).__name__}"
        )
    try:
        return make_config(given)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def make_config(given: dict[str, Any] | None = None) -> EasyDict:
    """Lay a nested dictionary over the defaults and check the result; raises ConfigError."""
    given = given or {}
    values = _merge(_defaults(), given, "")
    cfg = EasyDict(values)
    for key in flatten(given):
        if key in NO_EFFECT:
            _say_no_effect(key)
    _check(cfg)
    return cfg


def recipe_name(config: str | Path) -> str:
    """Name of a recipe given by name or path; it names the folders of weights and results."""
    return Path(config).stem


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
    """Read the defaults once; `_merge` copies them."""
    return yaml.safe_load(DEFAULTS.read_text(encoding="utf-8"))


def _find(config: str | Path) -> Path:
    """Path of a recipe given by name or path."""
    as_path = Path(config)
    if as_path.suffix in (".yaml", ".yml"):
        if not as_path.is_file():
            raise FileNotFoundError(f"no recipe at {as_path}")
        return as_path
    path = EXPERIMENTS / f"{config}.yaml"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in EXPERIMENTS.glob("*.yaml")))
        raise FileNotFoundError(
            f"no recipe {config!r} in {EXPERIMENTS}; there are: {names} (or give a .yaml path)"
        )
    return path


@functools.cache
def _say_no_effect(key: str) -> None:
    """Warn about a key once per process."""
    logger.warning("%s has no effect: nothing in AiATrack reads it", key)


def _merge(default: dict, given: dict, prefix: str) -> dict:
    """Lay `given` over `default`, refusing keys and types that the defaults do not have."""
    merged = {
        key: _merge(value, {}, "") if isinstance(value, dict) else value
        for key, value in default.items()
    }
    for key, value in given.items():
        path = f"{prefix}{key}"
        if key not in default:
            if prefix == "TEST.HYPER.":  # any benchmark's name
                merged[key] = value
                continue
            raise ConfigError(
                f"unknown key {path}; "
                f"{prefix.rstrip('.') or 'the top level'} has: {', '.join(default)}"
            )
        if isinstance(default[key], dict):
            if not isinstance(value, dict):
                raise ConfigError(
                    f"{path} is a section with keys {', '.join(default[key])}, not {value!r}"
                )
            merged[key] = _merge(default[key], value, f"{path}.")
        else:
            merged[key] = _convert(path, value, default[key])
    return merged


def _convert(path: str, value: Any, default: Any) -> Any:
    """Check a value's type against the default's.

    Whole numbers may stand for floats, and so may '1e-4', which is a string to YAML.
    """
    if (
        isinstance(default, float)
        and not isinstance(value, bool)
        and isinstance(value, (int, float, str))
    ):
        try:
            return float(value)
        except ValueError:
            pass
    elif type(value) is type(default):
        return list(value) if isinstance(value, list) else value
    wanted = {
        float: "a number",
        int: "a whole number",
        bool: "True or False",
        str: "a string",
        list: "a list",
    }
    raise ConfigError(
        f"{path} must be {wanted[type(default)]}, such as {default!r}; given: {value!r}"
    )


def _check(cfg: EasyDict) -> None:
    """Refuse values that cannot work, alone or together."""
    flat = flatten(cfg)

    def require(key: str, allowed: str, ok: Callable[[Any], bool]) -> None:
        if not ok(flat[key]):
            raise ConfigError(f"{key} must be {allowed}; given: {flat[key]!r}")

    for key, choices in CHOICES.items():
        require(
            key, " or ".join(map(repr, choices)), lambda value, choices=choices: value in choices
        )
    for key in POSITIVE:
        require(key, "above 0", lambda value: value > 0)
    for key in NOT_NEGATIVE:
        require(key, "0 or more", lambda value: value >= 0)
    require("MODEL.TRANSFORMER.DROPOUT", "in [0, 1)", lambda value: 0 <= value < 1)
    for key in ("DATA.CROP_FLIP", "TEST.LOST_BELOW"):
        require(key, "in [0, 1]", lambda value: 0 <= value <= 1)
    _check_dimensions(cfg, require)
    _check_lists(cfg, require)


def _check_dimensions(cfg: EasyDict, require: Callable) -> None:
    """Widths and sizes that must fit each other."""
    heads = cfg.MODEL.TRANSFORMER.NHEADS
    require(
        "MODEL.HIDDEN_DIM",
        f"divisible by MODEL.TRANSFORMER.NHEADS ({heads})",
        lambda v: v % heads == 0,
    )
    require(
        "MODEL.HIDDEN_DIM", "divisible by 8 (position encoding, corner head)", lambda v: v % 8 == 0
    )
    require("MODEL.AIA.MATCH_DIM", "divisible by 4 (position encoding)", lambda v: v % 4 == 0)
    for key in ("DATA.SEARCH.SIZE", "TEST.SEARCH_SIZE"):
        require(key, f"divisible by the stride {STRIDE}", lambda v: v % STRIDE == 0)
    cells = (cfg.DATA.SEARCH.SIZE // STRIDE) ** 2
    require(
        "MODEL.AIA.FEAT_SIZE",
        f"{cells}, that is (DATA.SEARCH.SIZE / {STRIDE})^2 with size {cfg.DATA.SEARCH.SIZE}",
        lambda v: v == cells,
    )
    require(
        "TEST.SEARCH_SIZE",
        f"equal to DATA.SEARCH.SIZE ({cfg.DATA.SEARCH.SIZE}): the network's FEAT_SIZE is fixed",
        lambda v: v == cfg.DATA.SEARCH.SIZE,
    )


def _check_lists(cfg: EasyDict, require: Callable) -> None:
    """Lists of a fixed length, and the hyper-parameters of each benchmark."""

    def is_number(value: Any) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool)

    for key in ("DATA.MEAN", "DATA.STD"):
        require(key, "3 numbers, R, G, B", lambda v: len(v) == 3 and all(map(is_number, v)))
    require("DATA.STD", "above 0", lambda v: min(v) > 0)
    require(
        "TRAIN.FREEZE_LAYERS", "a list of names", lambda v: all(isinstance(name, str) for name in v)
    )
    require("DATA.TRAIN.DATASETS_NAME", "one data set or more", lambda v: len(v) > 0)
    for part in ("TRAIN", "VAL"):
        count = len(cfg.DATA[part].DATASETS_NAME)
        require(
            f"DATA.{part}.DATASETS_RATIO",
            f"one number of 0 or more per entry of DATA.{part}.DATASETS_NAME ({count}), not all 0",
            lambda v, count=count: (
                len(v) == count
                and all(is_number(r) and r >= 0 for r in v)
                and (sum(v) > 0 or count == 0)
            ),
        )
    for name, hyper in cfg.TEST.HYPER.items():
        check_hyper(hyper, f"TEST.HYPER.{name}")


def check_hyper(hyper: Any, source: str) -> tuple[int, int, float]:
    """Return (capacity, ensemble, threshold) checked, as a tuple.

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
    if capacity != int(capacity) or ensemble != int(ensemble) or math.isnan(threshold):
        raise ConfigError(message)
    if capacity < 2 or ensemble < 1:
        raise ConfigError(message)
    return int(capacity), int(ensemble), float(threshold)
