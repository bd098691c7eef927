"""Guards how the network starts, and in which order the optimizer knows its parameters."""

import json
import math

import pytest
import torch
from conftest import FIXTURES

from lib.config.aiatrack.config import load_config, make_config
from lib.models.aiatrack.build import build_aiatrack
from lib.train.optimizer import trained_parameters

SEEDS = 5  # as many as the stored figures are means of
TENSORS = json.loads((FIXTURES / "initialisation.json").read_text())["tensors"]


@pytest.fixture(scope="module")
def starts() -> list[dict[str, torch.Tensor]]:
    """State dicts of the published network, freshly built with several seeds."""
    states = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        model = build_aiatrack(load_config("baseline"))
        states.append({name: value.float().clone() for name, value in model.state_dict().items()})
    return states


def test_every_tensor_starts_with_the_published_spread(
    starts: list[dict[str, torch.Tensor]],
) -> None:
    """Mean, standard deviation and bounds of all 423 entries, within what sampling allows."""
    assert set(TENSORS) == set(starts[0]) and len(TENSORS) == 423
    problems = []
    for name, expected in TENSORS.items():
        values = torch.stack([state[name] for state in starts])
        count, spread = math.prod(expected["shape"]), expected["std"]
        # Both figures are means over 5 seeds. The error of a mean is std / sqrt(n), that of a
        # standard deviation at most as large; 6 of them, for 423 tensors.
        error = 6 * spread * math.sqrt(2 / (SEEDS * count)) + 1e-6
        std = torch.stack([state[name].std(correction=0) for state in starts]).mean().item()
        low, high = expected["min"], expected["max"]
        if count == 1:  # a single bias: uniform between the bounds of its layer's weights
            error, std, low, high = 0.3, spread, -0.3, 0.3
        # The extremes of Gaussian values scatter; uniform ones lie close to their bounds.
        margin = (1.2 if high > 2 * spread else 0.3) * spread + 1e-6
        if (
            abs(std - spread) > error
            or abs(values.mean().item() - expected["mean"]) > error
            or values.min() < low - margin
            or values.max() > high + margin
        ):
            problems.append(f"{name}: {expected}, here std {std:.6f}")
    assert not problems, "\n".join(problems)


def test_no_batch_norm_of_an_untrained_backbone_starts_at_zero() -> None:
    recipe = {"MODEL": {"BACKBONE": {"TYPE": "resnet18", "PRETRAINED": False}}}
    recipe |= {"TRAIN": {"FREEZE_BACKBONE_BN": False}}
    state = build_aiatrack(make_config(recipe)).state_dict()
    gains = [
        v for k, v in state.items() if k.startswith("backbone") and ".bn" in k and "weight" in k
    ]
    assert gains and all((gain == 1).all() for gain in gains)


def test_parameters_are_in_the_order_of_the_references_optimizer() -> None:
    groups = json.loads((FIXTURES / "parameter_order.json").read_text())["groups"]
    rest, backbone = trained_parameters(build_aiatrack(load_config("baseline")))
    assert list(rest) == groups["rest"] and list(backbone) == groups["backbone"]
