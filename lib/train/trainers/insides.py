"""Whether a checkpoint holds what a training goes on from: built as it must be, fitting, finite.

Neighbours: checkpoints.py falls back past one that does not, base_trainer.py writes them.
"""

from pathlib import Path
from types import UnionType
from typing import Any

from torch import Tensor, nn

from lib.checkpoint.files import CheckpointError, check_finite
from lib.models.aiatrack.weights import check_fit
from lib.train.optimizer import check_moments
from lib.utils.messages import shorten

NUMBER = int | float
OPTIMIZER = {
    "state": {int: {str: Tensor | NUMBER}},
    "param_groups": [{"params": [int]}],
}
# How checkpoints are built: {str: x} has any names.
RELEASED = {"epoch": int, "net": {str: Tensor}}
OURS = {
    **RELEASED,
    "batches_done": int,
    "written": [int],
    "optimizer": OPTIMIZER,
    "scaler": {str: NUMBER},
    "stats": {"history": {str: {str: NUMBER}}, "under way": {str: [NUMBER]}},
    "settings": {
        "recipe": {"MODEL": {str: object}, "DATA": {str: object}, "TRAIN": {str: object}},
        **dict.fromkeys(("seed", "processes", "batch", "accumulate"), int),
        "precision": str,
    },
}
_MISSING = object()
_SCALER = {"scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"}


def is_ours(contents: dict[str, Any]) -> bool:
    """Whether this code wrote a checkpoint to be gone on from; the released ones were not."""
    return not {"batches_done", "scaler"}.isdisjoint(contents)


def check_built(path: Path, contents: Any, wanted: Any) -> None:
    """Refuse contents of other kinds than `wanted`, by the first place that differs."""
    if problem := _misfit(contents, wanted, ""):
        raise CheckpointError(f"{path}: {problem}")


def check_numbers(path: Path, contents: dict[str, Any], model: nn.Module) -> None:
    """Refuse a checkpoint of ours whose numbers do not fit the network, or are not finite."""
    if contents["epoch"] < 0 or contents["batches_done"] < 0:
        raise CheckpointError(f"{path}: epoch {contents['epoch']}, {contents['batches_done']} done")
    check_fit(model, contents["net"], path)
    check_finite(contents["net"], path)
    if lacking := sorted(_SCALER - contents["scaler"].keys()) * bool(contents["scaler"]):
        raise CheckpointError(f"{path}: scaler lacks {', '.join(lacking)}")
    if any(len(sums) != 2 for sums in contents["stats"]["under way"].values()):
        raise CheckpointError(f"{path}: stats.under way needs a sum and a count of each")
    try:
        check_moments(model, contents["optimizer"])
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _misfit(value: Any, wanted: Any, place: str) -> str:
    """Say where a value is not built as wanted; "" if nowhere."""
    if value is _MISSING:
        return f"{place} is missing"
    kind = wanted if isinstance(wanted, (type, UnionType)) else type(wanted)
    if not isinstance(value, kind) or (isinstance(value, bool) and wanted is not object):
        name = getattr(kind, "__name__", str(kind))
        return f"{place or 'it'} is {shorten(value, 40)}, not of type {name}"
    return next(filter(None, (_misfit(*part) for part in _parts(value, wanted, place))), "")


def _parts(value: Any, wanted: Any, place: str) -> list[tuple[Any, Any, str]]:
    """The parts of a container: what each is, is to be, and is called."""
    if isinstance(wanted, list):
        return [(part, wanted[0], f"{place}[{i}]") for i, part in enumerate(value)]
    if not isinstance(wanted, dict):
        return []
    inner = {key: f"{place}.{key}".lstrip(".") for key in (*wanted, *value)}
    if isinstance(name := next(iter(wanted)), type):
        names = [(key, name, f"the name {inner[key]}") for key in value]
        return names + [(part, wanted[name], inner[key]) for key, part in value.items()]
    return [(value.get(key, _MISSING), each, inner[key]) for key, each in wanted.items()]
