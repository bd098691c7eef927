"""Guards the loading of weights: which fit, and what is said about those that do not."""

from pathlib import Path

import pytest
import torch

from lib.checkpoint.files import CheckpointError, save_checkpoint
from lib.config.aiatrack.config import make_config
from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.weights import describe_recipe, load_weights, released_contents
from tests.conftest import TINY


def test_round_trip(tiny_model: AiATrack, tiny_checkpoint: Path) -> None:
    other = build_aiatrack(make_config(TINY))
    load_weights(other, tiny_checkpoint)
    for name, value in tiny_model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


def test_saved_keys_are_those_the_reference_reads(tiny_checkpoint: Path) -> None:
    contents = torch.load(tiny_checkpoint, weights_only=True)
    assert list(contents) == [
        *("epoch", "actor_type", "net_type", "net", "net_info", "constructor"),
        *("optimizer", "stats", "settings", "digest"),
    ]
    assert contents["net_type"] == "AIATRACK" and contents["actor_type"] == "AIATRACKActor"


def test_recipe_is_read_off_the_released_shapes(released_names: dict) -> None:
    state = {name: torch.empty(entry["shape"]) for name, entry in released_names.items()}
    assert describe_recipe(state) == {
        "MODEL.HIDDEN_DIM": 256,
        "MODEL.TRANSFORMER.DIM_FEEDFORWARD": 1024,
        "MODEL.AIA.MATCH_DIM": 64,
        "MODEL.AIA.FEAT_SIZE": 400,
        "MODEL.TRANSFORMER.ENC_LAYERS": 3,
        "MODEL.AIA.USE_AIA": True,
        "a MODEL.BACKBONE.TYPE with channels": 1024,
    }


def test_checkpoint_of_another_recipe(tiny_model: AiATrack, seeded_checkpoint: Path) -> None:
    before = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_weights(tiny_model, seeded_checkpoint)
    message = str(caught.value)
    assert str(seeded_checkpoint) in message
    assert "missing: backbone.0.body" in message and "not in the network: " in message
    assert "of another shape: " in message and " instead of " in message
    assert "would fit MODEL.HIDDEN_DIM 256" in message and "MODEL.AIA.FEAT_SIZE 400" in message
    for name, value in tiny_model.state_dict().items():
        assert torch.equal(value, before[name]), f"{name} was touched"


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_missing_and_extra_entries(tiny_model: AiATrack, tmp_path: Path, change: str) -> None:
    contents = released_contents(tiny_model, 1)
    contents["net"] = dict(contents["net"])
    if change == "missing":
        for name in ("iou_head.fc.bn.weight", "bottleneck.bias"):
            del contents["net"][name]
        expected = "2 missing: bottleneck.bias, iou_head.fc.bn.weight"
    else:
        contents["net"]["query_embed.weight"] = torch.ones(1)
        expected = "1 not in the network: query_embed.weight"
    save_checkpoint(tmp_path / "odd.pth.tar", contents)
    with pytest.raises(CheckpointError, match=expected):
        load_weights(tiny_model, tmp_path / "odd.pth.tar")


def test_weights_of_something_else(tiny_model: AiATrack, tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.ones(3)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="would fit no AiATrack recipe"):
        load_weights(tiny_model, tmp_path / "other.pth")
