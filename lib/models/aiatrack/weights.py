"""Match weights with a network, or say what does not fit and which recipe would.

Source: docs/method.md, section 6. lib/checkpoint/files.py reads files, build.py makes networks.
"""

import re
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lib.checkpoint.files import CheckpointError, read_verified

MAX_NAMES = 4  # in an error


def load_weights(model: nn.Module, path: str | Path) -> bool:
    """Load a file's weights into the network, all of them or none.

    Returns:
        Whether a digest in the file vouches for them.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: unreadable, or missing, extra or mis-shaped entries; the message names the
            first of them and the recipe the file would fit.
    """
    state, verified = read_verified(path)
    check_fit(model, state, path)
    model.load_state_dict(state)
    return verified


def check_fit(model: nn.Module, state: dict[str, Tensor], path: str | Path) -> None:
    """Refuse weights of another network; see `load_weights`."""
    if problems := _differences(model.state_dict(), state):
        fits = ", ".join(f"{key} {value}" for key, value in describe_recipe(state).items())
        raise CheckpointError(
            f"{path}: does not fit this network: {'; '.join(problems)}. "
            f"The file would fit {fits or 'no AiATrack recipe'}."
        )


def released_contents(model: nn.Module, epoch: int) -> dict[str, Any]:
    """Make the dictionary of the released format around the network's weights.

    The reference code reads `net`; the other keys are there because it looks for them.
    """
    return {
        "epoch": epoch,
        "actor_type": "AIATRACKActor",
        "net_type": "AIATRACK",
        "net": model.state_dict(),
        "net_info": None,
        "constructor": None,
        "optimizer": {},
        "stats": {},
        "settings": None,
    }


def describe_recipe(state: dict[str, Tensor]) -> dict[str, Any]:
    """Read the recipe's values off the shapes of a state dict; keys are configuration keys."""
    recipe: dict[str, Any] = {}
    encoder = "transformer.encoder.layers"
    inner = [name for name in state if name.endswith(".inner_attn.corr_proj.weight")]
    widths = {
        "MODEL.HIDDEN_DIM": ("bottleneck.weight", 0),
        "MODEL.TRANSFORMER.DIM_FEEDFORWARD": (f"{encoder}.0.linear1.weight", 0),
        "MODEL.AIA.MATCH_DIM": (inner[0] if inner else "", 0),
        "MODEL.AIA.FEAT_SIZE": (inner[0] if inner else "", 1),
    }
    for key, (name, axis) in widths.items():
        if name in state and state[name].ndim > axis:
            recipe[key] = state[name].shape[axis]
    layers = {m[1] for name in state if (m := re.match(rf"{re.escape(encoder)}\.(\d+)\.", name))}
    if layers:
        recipe["MODEL.TRANSFORMER.ENC_LAYERS"] = len(layers)
        recipe["MODEL.AIA.USE_AIA"] = bool(inner)
    where = {"self" if name.startswith(encoder) else "cross" for name in inner}
    if len(where) == 1:
        recipe["MODEL.AIA.WHERE"] = where.pop()
    if "bottleneck.weight" in state and state["bottleneck.weight"].ndim == 4:
        recipe["a MODEL.BACKBONE.TYPE with channels"] = state["bottleneck.weight"].shape[1]
    return recipe


def _differences(expected: dict[str, Tensor], actual: dict[str, Tensor]) -> list[str]:
    """Phrases about missing, extra and mis-shaped entries."""
    groups = {
        "missing": [name for name in expected if name not in actual],
        "not in the network": [name for name in actual if name not in expected],
        "of another shape": [
            f"{name} {tuple(actual[name].shape)} instead of {tuple(value.shape)}"
            for name, value in expected.items()
            if name in actual and actual[name].shape != value.shape
        ],
    }
    return [
        f"{len(names)} {what}: {', '.join(names[:MAX_NAMES])}{', ...' * (len(names) > MAX_NAMES)}"
        for what, names in groups.items()
        if names
    ]
