"""Which trained weights exist, and which recipe a file of weights fits.

Neighbour: lib/models/aiatrack/weights.py loads and describes weights.
"""

from collections.abc import Collection
from pathlib import Path

from lib.checkpoint.files import CheckpointError, read_verified
from lib.checkpoint.names import EPOCH_FILE, checkpoints_newest_first
from lib.config.aiatrack.config import load_config, recipe_names
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.weights import describe_recipe, load_weights
from lib.test.parameter.aiatrack import find_checkpoint
from lib.tools.setup.findings import FAIL, NOTE, OK, WARN, Finding
from lib.utils.paths import PROJECT_ROOT


def check_checkpoints(needed: Collection[str] = (), root: Path = PROJECT_ROOT) -> list[Finding]:
    """The weights of every recipe, which `needed` ones must have, and others in checkpoints/."""
    recipes = recipe_names()
    findings = [_check_recipe(recipe, recipe in needed, root) for recipe in recipes]
    for folder in sorted((root / "checkpoints" / "train" / "aiatrack").glob("*/")):
        if folder.name not in recipes:
            findings += [check_checkpoint(path) for path in checkpoints_newest_first(folder)[:1]]
    return findings


def _check_recipe(recipe: str, needed: bool, root: Path) -> Finding:
    cfg, bad = load_config(recipe), FAIL if needed else WARN
    try:
        path = find_checkpoint(cfg, recipe, root)
        shipped = path.suffix == ".safetensors"
        verified = load_weights(build_aiatrack(cfg), path)
        text = f"{path} fits; {_vouched(verified)}"
        return Finding(OK if verified or not shipped else bad, recipe, text)
    except FileNotFoundError:
        text = f"no trained weights ({EPOCH_FILE.format(cfg.TEST.EPOCH)})"
        fix = f"python tracking/train.py --config {recipe}, or README, 'Weights'"
        return Finding(FAIL if needed else NOTE, recipe, text, fix)
    except CheckpointError as error:
        if shipped:  # a part of this project, so that its damage is never a mere note
            return Finding(FAIL, recipe, str(error), f"git checkout -- {path}")
        return Finding(bad, recipe, str(error), f"replace {path}: README, 'Weights'")


def check_checkpoint(path: Path) -> Finding:
    """Say which recipes of experiments/ a file of weights fits, or what its shapes say."""
    try:
        state, verified = read_verified(path)
    except (FileNotFoundError, CheckpointError) as error:
        return Finding(FAIL, path.name, str(error), "fetch or train it again: README, 'Weights'")
    vouched = _vouched(verified)
    shapes = {key: tensor.shape for key, tensor in state.items()}
    fitting = []
    for recipe in recipe_names():
        expected = build_aiatrack(load_config(recipe)).state_dict()
        fitting += [recipe] * ({key: v.shape for key, v in expected.items()} == shapes)
    if fitting:
        return Finding(OK, path.name, f"{path} fits --param {' or '.join(fitting)}; {vouched}")
    settings = ", ".join(f"{key} {value}" for key, value in describe_recipe(state).items())
    text = f"{path} fits no recipe in experiments/; its shapes say: {settings or 'not AiATrack'}"
    text += f"; {vouched}"
    return Finding(NOTE, path.name, text)


def _vouched(verified: bool) -> str:
    return "its digest agrees" if verified else "unverified: no digest in it"
