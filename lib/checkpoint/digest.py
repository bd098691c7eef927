"""Digests: of what a file holds, and of the bytes of an archive.

The first is of values, so that one scheme serves every format. The second, an archive's seal, also
covers what lies between its records, and is checked before anything is read from them.
"""

import hashlib
import struct
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

PLAIN = (type(None), bool, int, float, str, bytes)


def digest(contents: dict[str, Any]) -> str:
    """SHA-256 of nested dictionaries, lists and tuples of tensors and plain values.

    Raises:
        TypeError: a value of another type.
    """
    return f"sha256:{_hash(contents, {}).hex()}"


def _hash(value: Any, known: dict[int, bytes]) -> bytes:
    """Hash a value; a container by the hashes of its parts, once however often it occurs."""
    if isinstance(value, Tensor):
        sha = hashlib.sha256(f"{value.dtype} {tuple(value.shape)} ".encode())
        sha.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return sha.digest()
    if type(value) in PLAIN:
        return hashlib.sha256(f"{type(value).__name__} {value!r}".encode()).digest()
    kind = next((kind for kind in (dict, list, tuple) if isinstance(value, kind)), None)
    if kind is None:
        raise TypeError(f"a checkpoint holds tensors and plain values, no {type(value).__name__}")
    if id(value) not in known:
        parts = [x for item in value.items() for x in item] if kind is dict else value
        sha = hashlib.sha256(f"{kind.__name__} {len(value)} ".encode())
        sha.update(b"".join(_hash(part, known) for part in parts))
        known[id(value)] = sha.digest()
    return known[id(value)]


def seal(archive: Path) -> None:
    """Write the SHA-256 of a zip archive that has no comment into its comment."""
    mark = seal_of(archive)
    with open(archive, "r+b") as file:
        file.seek(-2, 2)  # an archive ends with the length of its comment, and the comment
        file.write(struct.pack("<H", len(mark)) + mark)


def seal_of(archive: Path, comment: bytes = b"") -> bytes:
    """The comment that an archive with this comment has if it is sealed."""
    left, sha = archive.stat().st_size - 2 - len(comment), hashlib.sha256()
    with open(archive, "rb") as file:
        while left > 0 and (block := file.read(min(left, 2**20))):
            sha.update(block)
            left -= len(block)
    return f"sha256:{sha.hexdigest()}".encode()
