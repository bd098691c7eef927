"""Read checkpoints without running anything from them; write them atomically.

Source: docs/method.md, section 6. Released files are pickles that hold, beside the weights,
instances of the paper's own classes. These become inert stubs, and every call that a pickle asks
for is refused by name, whatever torch version reads it.
"""

import pickle
import pickletools
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lib.utils.files import atomic_path

# Calls that make plain NumPy values, found in statistics. They give a stub.
_IGNORED_CALLS = {
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.dtype",
    "_codecs.encode",
}
# What arbitrary bytes make zip, pickle and torch raise.
_STANDARD = (RuntimeError, OSError, EOFError, ValueError, LookupError, AttributeError, TypeError)
_RARE = (AssertionError, OverflowError, MemoryError, struct.error, zipfile.BadZipFile)


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file and what is wrong with it."""


class _StubType(type):
    """Type of stubs: calling one is refused."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        name = f"{cls.__module__}.{cls.__name__}"
        if name in _IGNORED_CALLS:
            return super().__call__()
        raise CheckpointError(
            f"it asks to call {name}, which is refused: weights need no such call"
        )


class _Stub(metaclass=_StubType):
    """Stands for an instance of a class that is not loaded; accepts any state and drops it."""

    def __new__(cls, *_: Any) -> "_Stub":
        return object.__new__(cls)

    def __setstate__(self, state: Any) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None: ...


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a file that `torch.save` wrote, released ones included, onto the CPU.

    Returns:
        Its dictionary: tensors, numbers, strings and containers; inert stubs for other instances.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: truncated, not a checkpoint, not a dictionary, or it asks for a call.
    """
    path = _existing(path)
    try:
        with torch.serialization.safe_globals([_make_stub(n) for n in _foreign_globals(path)]):
            contents = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path}: {_short_reason(error)}") from None
    except (*_STANDARD, *_RARE) as error:
        raise CheckpointError(
            f"{path}: truncated or not a checkpoint ({path.stat().st_size} bytes): {error}"
        ) from error
    if not isinstance(contents, dict):
        raise CheckpointError(f"{path}: holds a {type(contents).__name__}, not a dictionary")
    return contents


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the state dict from a released checkpoint, a plain state dict or a .safetensors file.

    Raises:
        FileNotFoundError, CheckpointError: as `read_checkpoint`, or there are no weights in it.
    """
    path = _existing(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    contents = read_checkpoint(path)
    state = contents.get("net", contents)
    if isinstance(state, dict) and state and all(isinstance(v, Tensor) for v in state.values()):
        return dict(state)
    raise CheckpointError(
        f"{path}: no weights in it: neither an entry 'net' nor a plain state dict; "
        f"it holds {', '.join(map(str, list(contents)[:8])) or 'nothing'}"
    )


def save_checkpoint(path: str | Path, contents: dict[str, Any]) -> None:
    """Write tensors and plain values so that `path` is whole or as it was before."""
    with atomic_path(Path(path)) as temporary:
        torch.save(contents, temporary)


def _existing(path: str | Path) -> Path:
    if not Path(path).is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    return Path(path)


def _foreign_globals(path: Path) -> list[str]:
    """Full names of what the file's pickle refers to beyond plain weights."""
    if zipfile.is_zipfile(path):
        return torch.serialization.get_unsafe_globals_in_checkpoint(path)
    known = ("torch.", "collections.OrderedDict")
    names = set()
    with open(path, "rb") as file:  # the format before torch 1.6: five pickles in a row
        if file.read(2) == b"PK":
            raise EOFError("it begins like a zip archive but has no directory at its end")
        file.seek(0)
        for _ in range(5):
            for opcode, argument, _ in pickletools.genops(file):
                name = str(argument).replace(" ", ".")
                if opcode.name == "GLOBAL" and not name.startswith(known):
                    names.add(name)
    return sorted(names)


def _make_stub(full_name: str) -> type:
    module, _, name = full_name.rpartition(".")
    return _StubType(name, (_Stub,), {"__module__": module})


def _short_reason(error: Exception) -> str:
    """The one useful line of torch's long messages about refused pickles."""
    text = str(error)
    if match := re.search(r"Trying to .*|Unsupported .*|.*not an allowed global.*", text):
        return f"refused: {match[0].strip()}"
    return f"not a checkpoint, or one that needs more than tensors and plain values: {text[:200]}"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: truncated or not a safetensors file: {error}") from error
