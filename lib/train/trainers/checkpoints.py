"""Checkpoints of a training: what is in them, which are kept, which one to go on from.

Source: docs/method.md, section 6. The format is that of the released files plus what resuming
needs, Python's own types and tensors only; lib/checkpoint/files.py reads and writes.
"""

import contextlib
import json
import logging
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from easydict import EasyDict

from lib.checkpoint.files import CheckpointError, read_checkpoint, save_checkpoint, weights_in
from lib.checkpoint.names import EPOCH_FILE, checkpoints_newest_first, epoch_of
from lib.config.aiatrack.config import flatten
from lib.train.trainers.insides import OPTIMIZER, check_built

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
IGNORED = (
    "MODEL.BACKBONE.PRETRAINED",
    "TRAIN.INIT_FROM",
    "TRAIN.NUM_WORKER",
    "TRAIN.PRINT_INTERVAL",
    "TEST.",
)


class CheckpointFolder:
    """The checkpoints of one run; the newest `keep` stay, beside every 100th."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self.written: list[int] = []  # epochs saved by this run, also before it was resumed

    def save(self, contents: dict[str, Any]) -> Path:
        """Write a checkpoint, then delete those of this run that are no longer needed.

        Raises:
            CheckpointError: it could not be written, such as for a full disk, or the file there is
                not this training's; what was there stays.
        """
        epoch, whole = contents["epoch"], contents["batches_done"] == 0
        path = self.folder / (EPOCH_FILE.format(epoch) if whole else INTERRUPTED)
        if whole and epoch not in self.written and os.path.lexists(path):
            raise self._refusal(path)
        if whole and epoch not in self.written:
            self.written.append(epoch)
        try:
            save_checkpoint(path, {**contents, "written": list(self.written)})
        except (OSError, RuntimeError) as error:
            good = checkpoints_newest_first(self.folder)
            newest = f"The newest good checkpoint is {good[0]}." if good else "There is none yet."
            raise CheckpointError(f"{path}: could not be saved: {error}. {newest}") from error
        if whole:
            _remove(self.folder / INTERRUPTED)
            self.remove_old()
        return path

    def remove_old(self) -> None:
        """Delete checkpoints of this training that are no longer needed."""
        removable = sorted(epoch for epoch in self.written if epoch % KEEP_EVERY)
        for old in removable[: -self.keep]:
            _remove(self.folder / EPOCH_FILE.format(old))
            self.written.remove(old)

    def check_free(self, first: int, last: int) -> None:
        """Raise CheckpointError if this training would save over another's file in these epochs."""
        taken = [self.folder / INTERRUPTED] * os.path.lexists(self.folder / INTERRUPTED)
        taken += [
            path
            for path in checkpoints_newest_first(self.folder)
            if first <= epoch_of(path) <= last
        ]
        if taken:
            raise self._refusal(taken[0])

    def _refusal(self, path: Path) -> CheckpointError:
        return CheckpointError(
            f"{path}: this training did not write it and will not save over it; move it away or "
            f"choose another --save-dir"
        )

    def newest(
        self, check: Callable[[Path, dict[str, Any]], None] = lambda *_: None
    ) -> tuple[Path, dict[str, Any]] | None:
        """The newest good checkpoint; None without files, CheckpointError if all are bad.

        Bad ones, damaged or refused by `check` with a CheckpointError, are named, and set aside
        when there is a good one.
        """
        interrupted = self.folder / INTERRUPTED
        waiting = [interrupted] * os.path.lexists(interrupted)
        waiting += checkpoints_newest_first(self.folder)
        bad: dict[Path, str] = {}
        while waiting:
            path = waiting.pop(0)
            try:
                contents = read_checkpoint(path)
                check(path, contents)
            except (CheckpointError, FileNotFoundError) as error:
                logger.warning("damaged checkpoint, falling back to the one before: %s", error)
                bad[path] = str(error)
                continue
            newer = [p for p in waiting if path == interrupted and epoch_of(p) > contents["epoch"]]
            if newer:  # it was left over: its epoch was completed later
                waiting = [*newer, path, *waiting[len(newer) :]]
                continue
            for other in bad:
                set_aside(other)
            self.written = [int(epoch) for epoch in contents.get("written", [])]
            return path, contents
        if bad:
            raise CheckpointError(
                f"{self.folder}: none of its {len(bad)} checkpoints can be read "
                f"({', '.join(path.name for path in list(bad)[:5])}); move them away to start "
                f"anew. The newest: {next(iter(bad.values()))}"
            )
        return None


def _remove(path: Path) -> None:
    """Remove a file, if it is there and can be removed."""
    with contextlib.suppress(OSError):
        path.unlink()


def set_aside(path: Path) -> None:
    """Rename a file that is in the way, if that can be, so that nothing is lost."""
    names = (path.with_name(f"{path.name}.damaged{number or ''}") for number in count())
    aside = next(name for name in names if not os.path.lexists(name))
    try:
        path.rename(aside)
        logger.warning("%s is now %s", path, aside.name)
    except OSError as error:
        logger.warning("%s stays in its place: %s", path, error.strerror)


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
    check_built(path, optimizer, OPTIMIZER)
    kept = {"epoch": epoch, "net": weights_in(contents, path), "optimizer": optimizer}
    return {**kept, "scaler": {}, "batches_done": 0, "stats": {"under way": {}, "history": {}}}


def to_builtins(cfg: dict[str, Any]) -> dict[str, Any]:
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
    changed = _differences(contents["settings"]["recipe"], cfg)
    if refused := [text for key, text in changed.items() if key.startswith(MUST_AGREE)]:
        raise CheckpointError(
            f"{path}: was written by another recipe: {'; '.join(refused)}. Move it away, choose "
            f"another --save-dir, or use its weights with --init-from"
        )
    if changed:
        text = "; ".join(changed.values())
        logger.warning("the recipe has changed; what it says now takes hold: %s", text)


def fits_recipe(path: Path, recipe: dict[str, Any], cfg: EasyDict) -> bool:
    """Whether a checkpoint's recipe agrees in MUST_AGREE; CheckpointError if it is none."""
    try:
        to_builtins(recipe)
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: settings.recipe is no recipe: {error}") from None
    return not any(key.startswith(MUST_AGREE) for key in _differences(recipe, cfg))


def _differences(recipe: dict[str, Any], cfg: EasyDict) -> dict[str, str]:
    """What a checkpoint's recipe says otherwise than this one, by key, where it matters."""
    saved, current = flatten(recipe), flatten(to_builtins(cfg))
    return {
        key: f"{key} {saved.get(key)!r} there, {current.get(key)!r} here"
        for key in {**saved, **current}
        if saved.get(key) != current.get(key) and not key.startswith(IGNORED)
    }
