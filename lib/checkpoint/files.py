"""Read and write checkpoints and weight files, with a digest of what they hold.

Source: docs/method.md, section 6. Neighbours: pickles.py loads without running anything,
digest.py hashes.
"""

import logging
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lib.checkpoint.digest import digest, seal
from lib.checkpoint.pickles import BAD_BYTES, CheckpointError, load_pickled
from lib.utils.files import atomic_path, require_regular

logger = logging.getLogger(__name__)

DIGEST = "digest"  # the entry of a checkpoint, and of a safetensors file's metadata

_UNDER = ("net", "state_dict", "model")  # what weights are filed under: here, and elsewhere
# What DataParallel, torch.compile and FSDP put before the names of what they wrap.
_WRAPPED = re.compile(
    r"(?<![^.])(module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a file that `torch.save` wrote, released ones included, onto the CPU.

    Returns:
        Its dictionary without the digest, which was checked: tensors, numbers, strings and
        containers; inert stubs for other instances.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: damaged, not a checkpoint, not a dictionary, or it asks for a call.
    """
    return _read_pickled(_regular(path))[0]


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the state dict of `read_verified`."""
    return read_verified(path)[0]


def read_verified(path: str | Path) -> tuple[dict[str, Tensor], bool]:
    """Read the state dict from a checkpoint, a plain state dict or a .safetensors file.

    Returns:
        Tensors by name, without what wrappers put before names, and whether a digest in the file
        vouches for them.

    Raises:
        FileNotFoundError, CheckpointError: as `read_checkpoint`, or there are no weights in it, or
            some are not finite.
    """
    path = _regular(path)
    contents, verified = (_read_safetensors if _is_safetensors(path) else _read_pickled)(path)
    state = weights_in(contents, path)
    check_finite(state, path)
    return state, verified


def weights_in(contents: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """Find the state dict in what a file holds; CheckpointError if there is none."""
    state = contents
    for _ in _UNDER:
        state = next((state[key] for key in _UNDER if isinstance(state.get(key), dict)), state)
    if state and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        bare = {_WRAPPED.sub("", name): value for name, value in state.items()}
        if len(bare) == len(state):
            return bare
    raise CheckpointError(
        f"{path}: no weights in it: neither an entry {', '.join(map(repr, _UNDER))} nor a plain "
        f"state dict; it holds {', '.join(str(k)[:40] for k in list(contents)[:8]) or 'nothing'}"
    )


def check_finite(state: dict[str, Tensor], path: Path) -> None:
    """Refuse weights that are not finite, by the first such entry."""
    for name, value in state.items():
        numbers = value.float() if value.element_size() == 1 else value  # float8 lacks isfinite
        if bad := int((~numbers.isfinite()).sum()):
            text = f"{name} has {bad} of {value.numel()} values that are not finite"
            raise CheckpointError(f"{path}: {text}")


def save_checkpoint(path: str | Path, contents: dict[str, Any]) -> None:
    """Write tensors and plain values so that `path` is whole or as it was before."""
    with atomic_path(Path(path)) as temporary:
        torch.save({**contents, DIGEST: digest(contents)}, temporary)
        seal(temporary)


def save_weights(path: Path, state: dict[str, Tensor]) -> None:
    """Write a state dict as safetensors, in one step too."""
    state = {name: value.clone().contiguous() for name, value in sorted(state.items())}
    with atomic_path(path) as temporary:
        save_file(state, temporary, {"format": "pt", DIGEST: digest(state)})


def _regular(path: str | Path) -> Path:
    """Refuse what would hang or say little when read: folders, pipes, devices, dangling links."""
    path = Path(path)
    try:
        require_regular(path)
    except FileNotFoundError:
        if path.is_symlink():
            raise CheckpointError(f"{path}: a link to nothing") from None
        raise FileNotFoundError(f"no checkpoint at {path}") from None
    except OSError as error:  # or a folder that may not be entered, a name that is too long
        text = f"{path}: {error.strerror}" if error.strerror else str(error)
        raise CheckpointError(text) from error
    return path


def _is_safetensors(path: Path) -> bool:
    return path.suffix == ".safetensors"


def _read_pickled(path: Path) -> tuple[dict[str, Any], bool]:
    contents = load_pickled(path)
    if not isinstance(contents, dict):
        raise CheckpointError(f"{path}: holds a {type(contents).__name__}, not a dictionary")
    stored = contents.pop(DIGEST) if isinstance(contents.get(DIGEST), str) else None
    return contents, _verify(path, stored, contents)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], bool]:
    try:
        with safe_open(path, "pt") as file:
            state = {name: file.get_tensor(name) for name in sorted(file.keys())}
            stored = (file.metadata() or {}).get(DIGEST)
    except (SafetensorError, *BAD_BYTES) as error:
        raise CheckpointError(f"{path}: truncated or not a safetensors file: {error}") from error
    return state, _verify(path, stored, state)


def _verify(path: Path, stored: str | None, contents: dict[str, Any]) -> bool:
    """Compare with the digest in the file; log that there is none, as in files of others."""
    if stored is None:
        logger.warning("%s: unverified: there is no digest of its contents in it", path)
        return False
    try:
        agrees = digest(contents) == stored
    except (TypeError, RecursionError):  # what no file of ours holds
        agrees = False
    if not agrees:
        text = "damaged, or changed after it was saved: its digest is of other contents"
        raise CheckpointError(f"{path}: {text}")
    return True
