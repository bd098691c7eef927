"""Guards one update: compiled, channels-last and fused, against the eager one."""

import pytest
import torch
from torch import nn

from lib.models.aiatrack.build import build_aiatrack
from lib.tools.profiling.training import random_batch
from lib.train.admin.settings import Settings
from lib.train.build import build_actor_and_optimizer
from lib.train.trainers.step import Update, update_weights
from tests.train.tiny import NO_DROPOUT, write_recipe

CPU = torch.device("cpu")


def _update(settings: Settings) -> tuple[Update, nn.Module]:
    """Do one update of a seeded network on a random batch."""
    cfg = settings.recipe()
    torch.manual_seed(0)
    model = build_aiatrack(cfg).train()
    actor, optimizer = build_actor_and_optimizer(model, cfg, settings, CPU)
    batch = random_batch(2, cfg.DATA.SEARCH.SIZE).to("cpu")
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    return update_weights(actor, optimizer, scaler, [batch], cfg.TRAIN.GRAD_CLIP_NORM), model


@pytest.mark.slow
def test_compiled_step_is_the_eager_one(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced whole and differentiated, but run by the backend that needs no compiler."""
    compiled = nn.Module.compile
    graphs = []

    def compile_module(self: nn.Module) -> None:
        graphs.append(self)
        compiled(self, backend="aot_eager", fullgraph=True)

    monkeypatch.setattr(nn.Module, "compile", compile_module)
    recipe = str(write_recipe(tmp_path, "MODEL", TRANSFORMER=NO_DROPOUT))
    eager, eager_model = _update(Settings(recipe))
    fast, fast_model = _update(Settings(recipe, channels_last=True, fused=True, compile=True))
    assert graphs == [fast_model]
    for name, value in eager.terms_per_batch[0].items():
        assert fast.terms_per_batch[0][name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
    assert fast.norm == pytest.approx(eager.norm, rel=1e-3)
    weights = eager_model.state_dict()
    assert weights.keys() == fast_model.state_dict().keys()  # the names of checkpoints
    for name, weight in fast_model.state_dict().items():
        # AdamW's first step moves a weight by the rate whatever its gradient: by at most twice it.
        torch.testing.assert_close(weight, weights[name], rtol=1e-2, atol=1e-3, msg=name)
