"""The network of a tracker as two ONNX files in ONNX Runtime.

`tracking/export_onnx.py` writes the files; contract.py beside this says what they hold. Arrays are
NumPy's: tracking with them needs no torch. B = 1: the files have static shapes.
"""

import functools
import hashlib
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from lib.models.aiatrack.onnx.contract import INPUTS, METADATA, OUTPUTS, GraphFacts
from lib.models.aiatrack.references import KeyValue, References
from lib.utils.device import usable_cores

CUDA = "CUDAExecutionProvider"
EXPORT = "python tracking/export_onnx.py"


class OnnxError(ValueError):
    """Files that cannot be used; the message names them and what is wrong."""


class OnnxNetwork:
    """Memorizes and tracks frames as the PyTorch network does."""

    def __init__(self, folder: str | Path, device: str = "auto") -> None:
        """Read both files.

        Args:
            folder: with memorize.onnx and track.onnx.
            device: "cpu", "cuda", "cuda:1", or "auto": a GPU if this ONNX Runtime has its provider.

        Raises:
            FileNotFoundError: a file is not there. RuntimeError: no ONNX Runtime.
            OnnxError: unreadable, of another kind, or files that do not belong together.
            ValueError: no such device here.
        """
        runtime = import_onnxruntime()
        self.providers = choose_providers(device, runtime.get_available_providers())
        self.folder, self._files = Path(folder), onnx_files(folder)
        self._sessions = {name: self._open(runtime, name) for name in INPUTS}
        facts = {name: self._facts(name) for name in INPUTS}
        self.facts = facts["track"]
        if facts["memorize"]._replace(graph="track") != self.facts:
            raise OnnxError(
                f"{self.folder}: memorize.onnx and track.onnx come from two exports; "
                f"write both with `{EXPORT}`"
            )

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of both files."""
        parts = (hashlib.sha256(path.read_bytes()).digest() for path in self._files.values())
        return f"sha256:{hashlib.sha256(b''.join(parts)).hexdigest()}"

    def check_fits(self, recipe: str, settings: dict[str, Any], ensemble: int) -> None:
        """Refuse to track for another recipe or number of references.

        Args:
            recipe: name. settings: see `network_settings`. ensemble: R.

        Raises:
            OnnxError: says what differs and how to export anew.
        """
        made, before = self.facts, self.facts.settings
        if made.recipe != recipe:
            raise OnnxError(f"{self.folder}: made from recipe {made.recipe!r}, not {recipe!r}")
        differ = [key for key in {**before, **settings} if before.get(key) != settings.get(key)]
        if differ:
            raise OnnxError(
                f"{self.folder}: recipe {recipe!r} has changed since the export: {differ[0]} was "
                f"{before.get(differ[0])!r} and is {settings.get(differ[0])!r}; "
                f"{len(differ)} such entries; export again"
            )
        if made.ensemble != ensemble:
            raise OnnxError(
                f"{self.folder}: made for {made.ensemble} short-term references, {ensemble} are "
                f"wanted (the second number of TEST.HYPER or --hyper); export with the same "
                f"--dataset or --hyper: `{EXPORT} --param {recipe}`"
            )

    def memorize(self, image: np.ndarray, mask: np.ndarray, box: np.ndarray) -> References:
        """Encode a frame and its (1, 4) xywh box, fractions of the crop, as first reference."""
        *keys_values, inner_pos = self.run("memorize", image, mask, box)
        return References(KeyValue(*keys_values[:2]), KeyValue(*keys_values[2:]), inner_pos)

    def track(
        self, image: np.ndarray, mask: np.ndarray, first: References, recent: References
    ) -> tuple[np.ndarray, np.ndarray, References]:
        """Find the target in (1, 3, S, S) float32 RGB in [0, 1] with its (1, S, S) padding mask.

        Returns:
            The (1, 4) xywh box in fractions of the crop, the (1, 1) score, and the frame as a
            recent reference with that box.
        """
        references = (*first.long_term(), first.inner_pos, *recent.short, recent.inner_pos)
        box, score, key, value, pos = self.run("track", image, mask, *references)
        return box, score, References(None, KeyValue(key, value), pos)

    def run(self, name: str, *arrays: Any) -> list[Any]:
        """Compute "memorize" or "track" from its INPUTS to its OUTPUTS, NumPy arrays."""
        feed = dict(zip(INPUTS[name], arrays, strict=True))
        return self._sessions[name].run(OUTPUTS[name], feed)

    def _open(self, runtime: ModuleType, name: str) -> Any:
        """A session on one file, with a thread per core that this process may use."""
        path = self._files[name]
        options = runtime.SessionOptions()
        options.intra_op_num_threads = usable_cores()
        # Between frames its threads would otherwise wait busily on the cores that others need.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            return runtime.InferenceSession(str(path), options, providers=self.providers)
        except Exception as error:  # ONNX Runtime's errors have no base of their own
            raise OnnxError(f"{path}: ONNX Runtime cannot read it: {error}") from error

    def _facts(self, name: str) -> GraphFacts:
        path, meta = self._files[name], self._sessions[name].get_modelmeta()
        text = meta.custom_metadata_map.get(METADATA)
        if text is None:
            raise OnnxError(f"{path} was not written by `{EXPORT}`")
        try:
            facts = GraphFacts.from_text(text)
        except ValueError as error:
            raise OnnxError(f"{path}: {error}; export again") from error
        if facts.graph != name:
            raise OnnxError(f"{path} holds the graph {facts.graph!r}")
        return facts


def onnx_files(folder: str | Path) -> dict[str, Path]:
    """Find both files of a folder: graph name -> path. Raises FileNotFoundError for either."""
    files = {name: Path(folder) / f"{name}.onnx" for name in INPUTS}
    older = Path(folder) / "remember.onnx"  # what memorize.onnx was called in format 1
    reason = f" ({older.name} is of an older version)" if older.is_file() else ""
    for path in files.values():
        if not path.is_file():
            raise FileNotFoundError(f"no {path}{reason}; `{EXPORT} --param RECIPE` writes it")
    return files


def import_onnxruntime() -> ModuleType:
    """Import ONNX Runtime. Raises RuntimeError where it is not installed; says how to."""
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise RuntimeError(
            "ONNX Runtime is not installed: `pip install onnxruntime` (for CUDA: "
            f"`pip install onnxruntime-gpu`); {error}"
        ) from error


def choose_providers(device: str, available: list[str]) -> list[Any]:
    """Turn "auto", "cpu", "cuda" or "cuda:<index>" into ONNX Runtime's providers.

    Raises:
        ValueError: another device, or CUDA without its provider.
    """
    has_cuda = CUDA in available
    kind, _, index = device.partition(":")
    if device == "cpu" or (device == "auto" and not has_cuda):
        return ["CPUExecutionProvider"]
    if kind not in ("auto", "cuda") or (index and not index.isdigit()):
        raise ValueError(
            f"ONNX Runtime runs on 'cpu', 'cuda' or 'cuda:1' here, or 'auto'; given: {device!r}"
        )
    if not has_cuda:
        raise ValueError(
            f"device {device!r} cannot be used: this ONNX Runtime has {', '.join(available)}; "
            "CUDA needs `pip install onnxruntime-gpu`; --device cpu works"
        )
    # The CPU's convolutions in fp32 are what boxes are compared with: no TF32.
    cuda = (CUDA, {"device_id": int(index or 0), "use_tf32": 0})
    return [cuda, "CPUExecutionProvider"]
