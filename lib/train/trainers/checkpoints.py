"""Checkpoints of a training: what is in them, which are kept, which one to go on from.

Source: docs/method.md, section 6. The format is that of the released files plus what resuming
needs, Python's own types and tensors only; lib/utils/checkpoint.py reads and writes.
"""

import json
import logging
from pathlib import Path
from typing import Any

from easydict import EasyDict

from lib.config.aiatrack.config import flatten
from lib.utils.checkpoint import CheckpointError, read_checkpoint, save_checkpoint
from lib.utils.paths import EPOCH_FILE, checkpoints_newest_first, epoch_of

logger = logging.getLogger(__name__)

INTERRUPTED = "AIATRACK_interrupted.pth.tar"  # left by a run stopped within an epoch
KEEP_EVERY = 100  # epochs: one of them stays for good
RESUME_KEYS = ("epoch", "batches_done", "net", "optimizer", "scaler", "stats", "settings")

# Keys in which a checkpoint must agree with the recipe that goes on from it.
MUST_AGREE = (
    "MODEL.",
    "DATA.SEARCH.SIZE",
    "DATA.TRAIN.DATASETS_NAME",
    "TRAIN.FREEZE_LAYERS",
    "TRAIN.FREEZE_BACKBONE_BN",
    "TRAIN.OPTIMIZER",
)
IGNORED = ("MODEL.BACKBONE.PRETRAINED", "TRAIN.NUM_WORKER", "TRAIN.PRINT_INTERVAL", "TEST.")


class CheckpointFolder:
    """The checkpoints of one run; the newest `keep` stay, beside every 100th."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self.written: list[int] = []  # epochs saved by this run, also before it was resumed

    def save(self, contents: dict[str, Any]) -> Path:
        """Write a checkpoint, then delete those of this run that are no longer needed.

        Raises:
            CheckpointError: it could not be written, such as for a full disk; what was there stays.
        """
        epoch, whole = contents["epoch"], contents["batches_done"] == 0
        path = self.folder / (EPOCH_FILE.format(epoch) if whole else INTERRUPTED)
        if whole and epoch not in self.written:
            self.written.append(epoch)
        try:
            save_checkpoint(path, {**contents, "written": list(self.written)})
        except (OSError, RuntimeError) as error:
            good = checkpoints_newest_first(self.folder)
            newest = f"The newest good checkpoint is {good[0]}." if good else "There is none yet."
            raise CheckpointError(f"{path}: could not be saved: {error}. {newest}") from error
        if whole:
            (self.folder / INTERRUPTED).unlink(missing_ok=True)
            removable = sorted(epoch for epoch in self.written if epoch % KEEP_EVERY)
            for old in removable[: -self.keep]:
                (self.folder / EPOCH_FILE.format(old)).unlink(missing_ok=True)
                self.written.remove(old)
        return path

    def newest(self) -> tuple[Path, dict[str, Any]] | None:
        """The newest readable checkpoint; None without files, CheckpointError if all are bad."""
        whole = checkpoints_newest_first(self.folder)
        interrupted = self.folder / INTERRUPTED
        damaged = []
        for path in ([interrupted] if interrupted.is_file() else []) + whole:
            try:
                contents = read_checkpoint(path)
            except CheckpointError as error:
                logger.warning("damaged checkpoint, falling back to the one before: %s", error)
                damaged.append(path.name)
                continue
            if path == interrupted and whole and epoch_of(whole[0]) > contents.get("epoch", -1):
                continue  # left over: its epoch was completed later
            self.written = [int(epoch) for epoch in contents.get("written", [])]
            return path, contents
        if damaged:
            raise CheckpointError(
                f"{self.folder}: none of its {len(damaged)} checkpoints can be read "
                f"({', '.join(damaged[:5])}); move them away to start anew"
            )
        return None


def read_released(path: Path, last_epoch: int) -> dict[str, Any]:
    """Read a released checkpoint as one to go on from: its weights, moments and epoch.

    Raises:
        CheckpointError: it lacks one of these, or is of the last epoch already.
    """
    contents = read_checkpoint(path)
    optimizer, epoch = contents.get("optimizer"), contents.get("epoch")
    parts = optimizer if isinstance(optimizer, dict) else {}
    if not (parts.get("state") and parts.get("param_groups") and isinstance(epoch, int)):
        raise CheckpointError(
            f"{path}: has no optimizer state and epoch to continue from; --init-from takes its "
            f"weights alone"
        )
    if epoch >= last_epoch:
        text = f"is of epoch {epoch}, and TRAIN.EPOCH is {last_epoch}; raise --epochs"
        raise CheckpointError(f"{path}: {text}")
    kept = {"epoch": epoch, "net": contents["net"], "optimizer": optimizer}
    return {**kept, "scaler": {}, "batches_done": 0, "stats": {"under way": {}, "history": {}}}


def to_builtins(cfg: EasyDict) -> dict[str, Any]:
    return json.loads(json.dumps(cfg))


def check_resumable(path: Path, contents: dict[str, Any], cfg: EasyDict) -> None:
    """Refuse a checkpoint that this recipe cannot go on from; log differences that are harmless.

    Raises:
        CheckpointError: it lacks what resuming needs, or its recipe differs in MUST_AGREE.
    """
    missing = [key for key in RESUME_KEYS if key not in contents]
    if missing:
        raise CheckpointError(
            f"{path}: has weights but lacks {', '.join(missing)}, so training cannot go on from it "
            f"(a released model?). To start from its weights use --init-from with another "
            f"--save-dir"
        )
    saved, current = flatten(contents["settings"]["recipe"]), flatten(to_builtins(cfg))
    changed = {
        key: f"{key} {saved.get(key)!r} there, {current.get(key)!r} here"
        for key in {**saved, **current}
        if saved.get(key) != current.get(key) and not key.startswith(IGNORED)
    }
    if refused := [text for key, text in changed.items() if key.startswith(MUST_AGREE)]:
        raise CheckpointError(
            f"{path}: was written by another recipe: {'; '.join(refused)}. Move it away, choose "
            f"another --save-dir, or use its weights with --init-from"
        )
    if changed:
        differences = "; ".join(changed.values())
        logger.warning("the recipe has changed; what it says now takes hold: %s", differences)
