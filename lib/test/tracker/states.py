"""A tracker's box and memory as a file (safetensors), read without running anything in it."""

import json
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lib.checkpoint.digest import digest
from lib.models.aiatrack.attention import KeyValue
from lib.models.aiatrack.transformer import References
from lib.test.tracker.memory import ReferenceMemory
from lib.utils.files import atomic_write, read_regular

FORMAT = "aiatrack tracker state 1"
DIGEST = "digest"
Last = tuple[list[float], float]  # box xywh in image pixels and raw score of the last frame


def write_state(path: Path, memory: ReferenceMemory, identity: dict[str, str], last: Last) -> None:
    """Write a tracker's memory in one step.

    Args:
        identity: what the tracker that reads it must have in common with this one.

    Raises:
        OSError: it cannot be written.
    """
    remembered = [memory.first, *memory.entries]
    tensors = {
        f"{index:06d}.{part}": tensor.detach().cpu().contiguous().clone()
        for index, references in enumerate(remembered)
        for part, tensor in _parts(references).items()
    }
    metadata = {**identity, "format": FORMAT, "last": json.dumps(last)}
    metadata[DIGEST] = _digest(tensors, metadata)
    content = safetensors.torch.save(tensors, metadata)
    atomic_write(path, lambda file: file.write(content))


def read_state(
    path: Path, identity: dict[str, str], device: torch.device
) -> tuple[list[References], Last]:
    """Read what is remembered, the first frame's long-term part first, and the last frame's box.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a file, damaged, or of a tracker of another identity.
    """
    read_regular(path)  # says what is wrong with a folder or a pipe
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not the state of a tracker: {error}") from error
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path}: not the state of a tracker, or one of another version")
    if metadata.pop(DIGEST, "") != _digest(tensors, metadata):
        raise ValueError(f"{path}: damaged: its contents are not what was saved")
    for what, wanted in identity.items():
        if metadata.get(what) != wanted:
            raise ValueError(f"{path}: saved by a tracker with another {what}")
    # Put the parts together again.
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, part = name.split(".")
        parts.setdefault(index, {})[part] = tensor.to(device)
    box, score = json.loads(metadata["last"])
    return [_references(parts[index]) for index in sorted(parts)], (box, score)


def _digest(tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    return digest({"tensors": dict(sorted(tensors.items())), **dict(sorted(metadata.items()))})


def _parts(references: References) -> dict[str, Tensor]:
    (key, value), long = references.short, references.long
    parts = {"inner_pos": references.inner_pos, "key": key, "value": value}
    return parts | ({} if long is None else {"long_key": long.key, "long_value": long.value})


def _references(parts: dict[str, Tensor]) -> References:
    has_long = "long_key" in parts
    long = KeyValue(parts["long_key"], parts["long_value"]) if has_long else None
    return References(long, KeyValue(parts["key"], parts["value"]), parts["inner_pos"])
