"""A tracker's box and memory as a file (safetensors), read without running anything in it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from lib.models.aiatrack.references import KeyValue, References
from lib.utils.files import atomic_write, read_regular

FORMAT = "aiatrack tracker state 1"
DIGEST = "digest"
Last = tuple[list[float], float]  # box xywh in image pixels and raw score of the last frame
Parts = dict[str, tuple[np.ndarray, str]]  # of one frame's references, each with a dtype's name


def write_state(path: Path, frames: list[Parts], identity: dict[str, str], last: Last) -> None:
    """Write what is remembered, in one step.

    Args:
        frames: the first one's long-term part first, then all.
        identity: what the tracker that reads it must have in common with this one.

    Raises:
        OSError: it cannot be written.
    """
    named = {
        f"{i:06d}.{part}": value for i, parts in enumerate(frames) for part, value in parts.items()
    }
    arrays = {name: np.ascontiguousarray(array) for name, (array, _) in named.items()}
    dtypes = {name: dtype for name, (_, dtype) in named.items()}
    metadata = {**identity, "format": FORMAT, "last": json.dumps(last)}
    metadata["dtypes"] = json.dumps(dtypes)
    metadata[DIGEST] = _digest(arrays, metadata)
    content = safetensors.numpy.save(arrays, metadata)
    atomic_write(path, lambda file: file.write(content))


def read_state(path: Path, identity: dict[str, str]) -> tuple[list[Parts], Last]:
    """Read what `write_state` wrote.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a file, damaged, or of a tracker of another identity.
    """
    read_regular(path)  # says what is wrong with a folder or a pipe
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError(f"{path}: not the state of a tracker, or one of another version")
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not the state of a tracker: {error}") from error
    if metadata.pop(DIGEST, "") != _digest(arrays, metadata):
        raise ValueError(f"{path}: damaged: its contents are not what was saved")
    for what, wanted in identity.items():
        if metadata.get(what) != wanted:
            raise ValueError(f"{path}: saved by a tracker with another {what}")
    # Sort the parts by their frames.
    dtypes, frames = json.loads(metadata["dtypes"]), dict[str, Parts]()
    for name, array in arrays.items():
        index, part = name.split(".")
        frames.setdefault(index, {})[part] = (array, dtypes[name])
    box, score = json.loads(metadata["last"])
    return list(frames.values()), (box, score)


def parts_of(references: References) -> dict[str, Any]:
    """The arrays or tensors of one frame's references, by name."""
    (key, value), long = references.short, references.long
    parts = {"inner_pos": references.inner_pos, "key": key, "value": value}
    return parts | ({} if long is None else {"long_key": long.key, "long_value": long.value})


def references_of(parts: dict[str, Any]) -> References:
    """Undo `parts_of`."""
    has_long = "long_key" in parts
    long = KeyValue(parts["long_key"], parts["long_value"]) if has_long else None
    return References(long, KeyValue(parts["key"], parts["value"]), parts["inner_pos"])


def _digest(arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> str:
    """SHA-256 of all but itself."""
    sha = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        sha.update(f"{name} {array.dtype} {array.shape} ".encode())
        sha.update(np.ascontiguousarray(array).data)
    return f"sha256:{sha.hexdigest()}"
