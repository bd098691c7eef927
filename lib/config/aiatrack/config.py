"""Defaults of the published recipe, and YAML files read over them with every mistake named.

Source: docs/method.md, section 5. Modules take values, never this object: it is checked here, once.
"""

import contextlib
import functools
import logging
import math
from pathlib import Path
from typing import Any

import yaml
from easydict import EasyDict

from lib.config.aiatrack.recipe_file import ConfigError, read_recipe
from lib.config.aiatrack.requirements import LARGEST, is_number, requirements
from lib.utils.messages import one_line, shorten
from lib.utils.paths import PROJECT_ROOT

logger = logging.getLogger(__name__)

EXPERIMENTS = PROJECT_ROOT / "experiments" / "aiatrack"
SUFFIXES = (".yaml", ".yml")  # by which a path is told from a name
DEFAULTS = Path(__file__).with_name("defaults.yaml")  # every key, with a value of the key's type

# Keys of the published recipes that nothing reads; any value of the right type is accepted.
NO_EFFECT = ("MODEL.NUM_OBJECT_QUERIES", "MODEL.TRANSFORMER.DIVIDE_NORM", "TRAIN.DEEP_SUPERVISION")

TYPE_NAMES = {
    float: "a finite number",
    int: f"a whole number of at most {LARGEST}",
    bool: "True or False",
    str: "a string",
    list: "a list",
}


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
    values = read_recipe(path)
    if (base := values.pop("BASE", None)) is None:
        return values
    if not isinstance(base, str):
        raise ConfigError(f"{path}: BASE must be a recipe's name; given: {base!r}")
    base_path = find_recipe(base)
    below = read_recipe(base_path)
    if "BASE" in below or base_path.samefile(path):
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
    for key, allowed, ok in requirements(cfg, flat):
        if not ok:
            raise ConfigError(f"{key} must be {allowed}; given: {shorten(flat[key])}")
    for name, hyper in cfg.TEST.HYPER.items():
        check_hyper(hyper, f"TEST.HYPER.{name}")
    return cfg


def recipe_name(config: str | Path) -> str:
    """Name of a recipe given by name or path; it names the folders of weights and results."""
    path = Path(config)
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


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
    by_path = Path(config).suffix.lower() in SUFFIXES
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
                keys = ", ".join(default)
                raise ConfigError(f"unknown key {one_line(path)}; {section} has: {keys}")
            if not isinstance(key, str) or not key or key != key.upper():
                text = "a benchmark's name in upper case"
                raise ConfigError(f"TEST.HYPER: a key must be {text}; given: {shorten(key)}")
            merged[key] = value
        elif not isinstance(default[key], dict):
            merged[key] = _convert(path, value, default[key])
        elif isinstance(value, dict):
            merged[key] = _merge(default[key], value, f"{path}.")
        else:
            keys = ", ".join(default[key])
            raise ConfigError(f"{path} is a section with keys {keys}, not {shorten(value)}")
    return merged


def _convert(path: str, value: Any, default: Any) -> Any:
    """Check a value's type against the default's.

    Whole numbers may stand for floats, and so may '1e-4', which is a string to YAML.
    """
    is_bool = isinstance(value, bool)
    if isinstance(default, float) and isinstance(value, int | float | str) and not is_bool:
        with contextlib.suppress(ValueError, OverflowError):
            if math.isfinite(number := float(value)):
                return number
    elif type(value) is type(default) and (type(value) is not int or abs(value) <= LARGEST):
        return list(value) if isinstance(value, list) else value
    expected = TYPE_NAMES[type(default)]
    raise ConfigError(f"{path} must be {expected}, such as {default!r}; given: {shorten(value)}")


def check_hyper(hyper: Any, source: str) -> tuple[int, int, float]:
    """Return (capacity, ensemble, threshold), checked.

    Raises:
        ConfigError: names `source`, where the values come from.
    """
    message = (
        f"{source} must be [capacity, ensemble, threshold]: whole numbers of at least 2 and 1, "
        f"and a number on the IoU head's own scale (2 * IoU - 1); given: {shorten(hyper)}"
    )
    try:
        capacity, ensemble, threshold = hyper
    except (TypeError, ValueError):
        raise ConfigError(message) from None
    if not all(map(is_number, (capacity, ensemble, threshold))):
        raise ConfigError(message)
    are_whole = capacity == int(capacity) and ensemble == int(ensemble)
    if not are_whole or not 2 <= capacity <= LARGEST or not 1 <= ensemble <= LARGEST:
        raise ConfigError(message)
    return int(capacity), int(ensemble), float(threshold)
