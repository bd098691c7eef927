"""Load what `torch.save` wrote without running anything from it, and judge it before that.

Source: docs/method.md, section 6. Released files are pickles that hold, beside the weights,
instances of the paper's own classes. These become inert stubs, and every call that a pickle asks
for is refused by name, whatever torch version reads it. Neighbour: files.py is what others use.
"""

import pickle
import pickletools
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lib.checkpoint.digest import seal_of
from lib.utils.messages import one_line

MAX_PICKLE = 2**22  # bytes of structure around the tensors; those of a long training take 1e5

# Calls that make plain NumPy values, found in statistics. They give a stub.
_IGNORED_CALLS = {
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.dtype",
    "_codecs.encode",
}
_ZIP, _BEFORE_1_6 = b"PK\3\4", torch.serialization.MAGIC_NUMBER.to_bytes(10, "little")
# What arbitrary bytes make zip, pickle and torch raise.
_STANDARD = (RuntimeError, OSError, EOFError, ValueError, LookupError, AttributeError, TypeError)
_RARE = (AssertionError, ArithmeticError, MemoryError, ImportError, struct.error)
BAD_BYTES = (*_STANDARD, *_RARE, zipfile.BadZipFile)


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


def load_pickled(path: Path) -> Any:
    """Load a file that `torch.save` wrote onto the CPU, inert stubs for foreign instances.

    Raises:
        CheckpointError: damaged, out of proportion, no such file, or it asks for a call.
    """
    try:
        with torch.serialization.safe_globals([_make_stub(n) for n in _foreign_globals(path)]):
            contents = torch.load(path, map_location="cpu", weights_only=True)
        _judge_tensors(contents, path.stat().st_size)
        return contents
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path}: {_short_reason(error)}") from None
    except BAD_BYTES as error:
        raise CheckpointError(
            f"{path}: truncated or not a checkpoint ({path.stat().st_size} bytes): "
            f"{one_line(str(error))}"
        ) from error


def _foreign_globals(path: Path) -> list[str]:
    """Full names of what the file's pickle refers to beyond plain weights; the file is judged."""
    with open(path, "rb") as file:
        head = file.read(32)
    if head.startswith(_ZIP):
        _judge_archive(path)
        return torch.serialization.get_unsafe_globals_in_checkpoint(path)
    if _BEFORE_1_6 in head:
        return _globals_before_1_6(path)
    raise CheckpointError(
        f"truncated or not a checkpoint ({path.stat().st_size} bytes): it begins neither like a "
        f"zip archive nor like a pickle of torch.save"
    )


def _judge_archive(path: Path) -> None:
    """Refuse an archive that torch.save does not write, or whose checksums do not match.

    torch itself compares no checksums, and unpacks whatever an archive claims to hold.
    """
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        names = {record.filename.lower() for record in records}  # torch's reader ignores case
        if len(names) < len(records) or len({name.partition("/")[0] for name in names}) != 1:
            raise CheckpointError("its records are not those of one torch.save")
        for record in records:
            if record.compress_type != zipfile.ZIP_STORED:
                raise CheckpointError(f"its record {record.filename} is compressed: refused")
            if record.filename.lower().endswith(".pkl"):
                _judge_size(record.file_size)
        if sum(record.file_size for record in records) > path.stat().st_size:
            raise CheckpointError("its records claim more bytes than the file has: refused")
        if archive.comment and archive.comment != seal_of(path, archive.comment):
            raise CheckpointError("damaged: its bytes do not match the checksum at its end")
        if damaged := archive.testzip():
            raise CheckpointError(f"damaged: the checksum of its record {damaged} does not match")


def _globals_before_1_6(path: Path) -> list[str]:
    known = ("torch.", "collections.OrderedDict")
    names = set()
    with open(path, "rb") as file:  # the format before torch 1.6: five pickles in a row
        for _ in range(5):
            for opcode, argument, _ in pickletools.genops(file):
                _judge_size(file.tell())
                name = str(argument).replace(" ", ".")
                if opcode.name == "GLOBAL" and not name.startswith(known):
                    names.add(name)
    return sorted(names)


def _judge_size(pickle_bytes: int) -> None:
    if pickle_bytes > MAX_PICKLE:
        text = f"{pickle_bytes} bytes around its tensors, at most {MAX_PICKLE} are read"
        raise CheckpointError(f"not a checkpoint: {text}")


def _judge_tensors(contents: Any, file_bytes: int) -> None:
    """Refuse tensors that are not plain, or claim more numbers than are in the file."""
    storages = {}
    for tensor in _tensors(contents):
        if tensor.device.type != "cpu" or tensor.layout != torch.strided or tensor.is_quantized:
            raise CheckpointError("it holds a tensor that is no plain array: refused")
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        if tensor.numel() * tensor.element_size() > storage.nbytes():
            raise CheckpointError(f"it claims a tensor of {tuple(tensor.shape)}: refused")
    if sum(storages.values()) > file_bytes:
        raise CheckpointError("its tensors claim more bytes than the file has: refused")


def _tensors(contents: Any) -> Iterator[Tensor]:
    """Every tensor within containers, each container once."""
    waiting, seen = [contents], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (dict, list, tuple, set)) and id(value) not in seen:
            seen.add(id(value))
            waiting += [*value, *value.values()] if isinstance(value, dict) else value


def _make_stub(full_name: str) -> type:
    module, _, name = full_name.rpartition(".")
    return _StubType(name, (_Stub,), {"__module__": module})


def _short_reason(error: Exception) -> str:
    """The one useful line of torch's long messages about refused pickles."""
    text = str(error)
    if match := re.search(r"Trying to .*|Unsupported .*|.*not an allowed global.*", text):
        return f"refused: {one_line(match[0])}"
    return (
        f"not a checkpoint, or one that needs more than tensors and plain values: {one_line(text)}"
    )
