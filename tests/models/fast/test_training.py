"""Guards the faster training step: the plain one's loss and gradients, names and checkpoints."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lib.config.aiatrack.config import load_config
from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.backbone import Backbone
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.fast import training
from lib.models.aiatrack.fast.training import speed_up_training
from lib.tools.profiling.training import random_batch
from lib.train.build import make_actor
from tests.models.fast.test_factored import randomise
from tests.train.tiny import TINY, write_recipe

FROZEN = {"FREEZE_BACKBONE_BN": True, "FREEZE_LAYERS": ["conv1", "layer1"]}


def _networks(recipe: Path, pay: int, monkeypatch: pytest.MonkeyPatch) -> tuple[AiATrack, AiATrack]:
    monkeypatch.setattr(training, "FACTORS_PAY", pay)
    plain = build_aiatrack(load_config(recipe)).train()
    randomise(plain.backbone)
    for attention in plain.transformer.modules():
        if isinstance(attention, training.AiAAttention):
            randomise(attention)
    fast = copy.deepcopy(plain)
    speed_up_training(fast)
    return plain, fast


def _loss_and_gradients(
    model: AiATrack, recipe: Path, seed: int
) -> tuple[float, dict[str, Tensor]]:
    cfg = load_config(recipe)
    actor, batch = make_actor(model, cfg, None), random_batch(4, cfg.DATA.SEARCH.SIZE).to("cpu")
    torch.manual_seed(seed)  # of dropout
    loss = actor(batch).loss
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return loss.item(), gradients


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_same_step(
    frozen: bool, dropout: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_recipe(tmp_path, **(FROZEN if frozen else {}))
    text = recipe.read_text().replace("NHEADS: 2", f"NHEADS: 2\n    DROPOUT: {dropout}")
    assert f"DROPOUT: {dropout}" in text
    recipe.write_text(text)
    plain, fast = _networks(recipe, 1, monkeypatch)
    kinds = {type(module).__name__ for module in fast.modules()}
    assert {"FactoredTrainingAttention"} <= kinds
    assert ({"FoldedConv2d", "FoldedNorm"} <= kinds) == frozen
    assert list(plain.state_dict()) == list(fast.state_dict())
    (expected, gradients), (loss, got) = (
        _loss_and_gradients(model, recipe, seed=3) for model in (plain, fast)
    )
    assert loss == pytest.approx(expected, rel=1e-5)
    assert gradients.keys() == got.keys()
    size = max(value.norm().item() for value in gradients.values())
    for name, value in gradients.items():
        torch.testing.assert_close(got[name], value, rtol=1e-3, atol=1e-5 * size, msg=name)


def test_activations_that_are_part_of_norms() -> None:
    """EfficientNet-Lite0 as the demo recipe freezes it: same features, same gradients."""
    torch.manual_seed(0)
    layers = ("conv_stem", "blocks.0", "*.conv_dw")
    plain = Backbone("efficientnet_lite0", frozen=layers)
    randomise(plain)
    plain.double()
    fast = copy.deepcopy(plain)
    training._fold_frozen_norms(fast.body)
    kinds = [type(module).__name__ for module in fast.modules()]
    assert "FrozenBatchNormAct2d" not in kinds and kinds.count("FoldedConv2d") == 33
    image = torch.rand(2, 3, 64, 64).double()
    maps = [model(image) for model in (plain, fast)]
    torch.testing.assert_close(maps[1], maps[0])
    for features in maps:
        features.square().mean().backward()
    for (name, p), q in zip(plain.named_parameters(), fast.parameters(), strict=True):
        frozen = ("conv_stem" in name) or ("blocks.0." in name) or ("conv_dw" in name)
        assert p.requires_grad == q.requires_grad == (not frozen)
        if not frozen:
            torch.testing.assert_close(q.grad, p.grad, msg=name)


def test_attention_on_small_maps_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, fast = _networks(write_recipe(tmp_path), 4, monkeypatch)  # 16 tokens, heads 8 wide
    kinds = {type(module) for module in fast.modules()}
    assert TINY["MODEL"]["HIDDEN_DIM"] == 16 and training.AiAAttention in kinds
    assert training.FactoredTrainingAttention not in kinds


def test_copies_load_and_save_as_the_plain_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy, as is tracked with during training, follows its own weights and statistics."""
    recipe = write_recipe(tmp_path, **FROZEN)
    plain, fast = _networks(recipe, 1, monkeypatch)
    copied = copy.deepcopy(fast).eval()
    randomise(plain.backbone, seed=5)
    image = torch.rand(1, 3, 64, 64)
    before = fast.eval().encode(image).tokens
    copied.load_state_dict(plain.state_dict())
    with torch.no_grad():
        expected = plain.eval().encode(image).tokens
        torch.testing.assert_close(copied.encode(image).tokens, expected, rtol=1e-4, atol=1e-4)
        assert torch.equal(fast.encode(image).tokens, before)
        assert not torch.allclose(before, expected, atol=1e-2)
