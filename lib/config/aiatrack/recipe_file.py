"""Read the YAML of a recipe: small, without cycles, keys that are text and given once.

What the keys are and which values they may have is checked in config.py.
"""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lib.utils.messages import one_line

MAX_BYTES = 2**20
MAX_VALUES = 10_000  # anchors expanded
MAX_DEPTH = 12  # the defaults have 4

# What PyYAML raises for texts that are no values, such as "!!int x" or a date in month 13.
_BAD_VALUES = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, OverflowError)


class ConfigError(ValueError):
    """A recipe that cannot be used: names the key, its value and what is allowed."""


class _Extent(NamedTuple):
    """What a part of a file comes to with its anchors expanded."""

    values: int
    depth: int


def read_recipe(path: Path) -> dict[str, Any]:
    """Read a recipe's sections as they are written.

    Raises:
        OSError: it cannot be read.
        ConfigError: not YAML, not a mapping, too large, a cycle, a key twice or that is no text.
    """
    if (size := path.stat().st_size) > MAX_BYTES:
        raise ConfigError(f"{path}: {size} bytes; a recipe has {MAX_BYTES} at most")
    try:
        loader = yaml.SafeLoader(path.read_bytes())
        if (root := loader.get_single_node()) is None:
            return {}
        _measure(root, "", {})
        values = loader.construct_document(root)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply; {MAX_DEPTH} levels are allowed") from None
    except _BAD_VALUES as error:
        raise ConfigError(f"{path}: not valid YAML: {one_line(str(error))}") from None
    if not isinstance(values, dict):
        kind = type(values).__name__
        raise ConfigError(f"{path}: a recipe is a mapping of sections, not a {kind}")
    return values


def _measure(node: yaml.Node, path: str, known: dict[yaml.Node, _Extent | None]) -> _Extent:
    """Find how large a node is, each of its parts looked at once; raises ConfigError."""
    if isinstance(node, yaml.ScalarNode):
        return _Extent(1, 0)
    if node in known:
        if (extent := known[node]) is None:
            raise ConfigError(f"{path or 'the top level'} is a part of itself")
        return extent
    known[node] = None  # until all in it is measured
    if isinstance(node, yaml.MappingNode):
        parts = [(f"{path}.{key}".lstrip("."), value) for key, value in _entries(node, path)]
    else:
        parts = [(f"{path}[{i}]", value) for i, value in enumerate(node.value)]
    extents = [_measure(value, where, known) for where, value in parts]
    values = 1 + sum(extent.values for extent in extents)
    depth = 1 + max((extent.depth for extent in extents), default=0)
    where = one_line(path) or "the recipe"
    if values > MAX_VALUES:
        raise ConfigError(f"{where} has more than {MAX_VALUES} values, its anchors expanded")
    if depth > MAX_DEPTH:
        raise ConfigError(f"{where} is nested more than {MAX_DEPTH} levels deep")
    known[node] = extent = _Extent(values, depth)
    return extent


def _entries(node: yaml.MappingNode, path: str) -> list[tuple[str, yaml.Node]]:
    """Keys and values of a mapping; raises ConfigError for a key twice or that is no text."""
    section, seen = one_line(path) or "the top level", dict[str, int]()
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
            given = one_line(key.value) if isinstance(key, yaml.ScalarNode) else f"a {key.id}"
            text = f"in {section}, line {line}: a key must be text"
            raise ConfigError(f"{text}; given: {given} (quotes make it text)")
        if key.value in seen:
            lines = f"lines {seen[key.value]} and {line}"
            raise ConfigError(f"{one_line(key.value)} is given twice in {section}, {lines}")
        seen[key.value] = line
    return [(key.value, value) for key, value in node.value]
