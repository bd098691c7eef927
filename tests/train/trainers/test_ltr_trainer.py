"""Guards an epoch: learning, accumulation, clipping, non-finite numbers, precisions, curves."""

import itertools
import math
from types import SimpleNamespace

import own_sets
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.optim.optimizer import register_optimizer_step_pre_hook

from lib.checkpoint.files import read_checkpoint
from lib.config.aiatrack.config import load_config, make_config
from lib.models.aiatrack.build import build_aiatrack
from lib.tools.track_in_training import TrackSequences
from lib.train.actors.aiatrack import AIATRACKActor, LossWeights
from lib.train.admin.settings import Settings
from lib.train.data.loader import build_loader
from lib.train.optimizer import build_optimizer
from lib.train.run_training import train
from lib.train.trainers.base_trainer import TrainingParts
from lib.train.trainers.ltr_trainer import LTRTrainer, NonFiniteError
from tests.train.tiny import NO_DROPOUT, TINY, Rectangles, tiny_samplers, write_recipe

CPU = torch.device("cpu")


def run_tiny(folder, recipe, **settings):
    return train(Settings(config=str(recipe), save_dir=folder, **settings), CPU, tiny_samplers)


def make_trainer(folder, sampler=None, batch_size=2, **settings):
    """A trainer without dropout and with the heads' batch norm held fixed."""
    recipe = write_recipe(folder, "MODEL", TRANSFORMER=NO_DROPOUT)
    run_settings = Settings(config=str(recipe), save_dir=folder, batch_size=batch_size, **settings)
    cfg = run_settings.recipe()
    torch.manual_seed(0)
    model = build_aiatrack(cfg)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.train = lambda mode=True, module=module: module
            module.training = False
    loader = build_loader(
        sampler or Rectangles(), batch_size=batch_size, workers=0, seed=3, epoch_length=8
    )
    parts = TrainingParts(
        model, AIATRACKActor(model, LossWeights()), build_optimizer(model, cfg), loader, None
    )
    return LTRTrainer(parts, cfg, run_settings, CPU)


@pytest.mark.slow
def test_overfits_one_batch():
    """Gradients lead to near-zero loss on three samples seen again and again."""
    torch.manual_seed(0)
    loader = build_loader(Rectangles(), batch_size=3, workers=0, seed=1, epoch_length=3)
    batch = next(iter(loader)).to("cpu")
    model_keys = {**TINY["MODEL"], "TRANSFORMER": NO_DROPOUT}
    model = build_aiatrack(make_config({**TINY, "MODEL": model_keys})).train()
    actor = AIATRACKActor(model, LossWeights())
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for step in range(200):
        if step == 150:
            optimizer.param_groups[0]["lr"] = 4e-4
        output = actor(batch)
        optimizer.zero_grad()
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert output.loss < 0.2  # from about 4
    assert output.terms["IoU"] > 0.93


def gradients_of_first_update(trainer, monkeypatch):
    """Gradients before the first step of the optimizer, not clipped."""
    seen = {}

    class FirstStepTaken(Exception):
        pass

    def step(*_, **__):
        seen.update({n: p.grad.clone() for n, p in trainer.parts.model.named_parameters()})
        raise FirstStepTaken

    trainer.cfg.TRAIN.GRAD_CLIP_NORM = math.inf
    monkeypatch.setattr(trainer.parts.optimizer, "step", step)
    with pytest.raises(FirstStepTaken):
        trainer.train_epoch(1)
    return seen


def test_accumulated_batches_have_the_whole_batch_gradients(tmp_path, monkeypatch):
    whole = gradients_of_first_update(make_trainer(tmp_path, batch_size=4), monkeypatch)
    halves = gradients_of_first_update(make_trainer(tmp_path, accumulate=2), monkeypatch)
    scale = max(g.abs().max() for g in whole.values())
    assert scale > 1e-3
    for name, gradient in whole.items():
        torch.testing.assert_close(halves[name], gradient, rtol=1e-5, atol=1e-5 * scale, msg=name)


def test_accumulation_counts_updates(tmp_path):
    trainer = make_trainer(tmp_path, accumulate=3)  # 4 batches: one update, one batch left out
    trainer.train_epoch(1)
    steps = {float(s["step"]) for s in trainer.parts.optimizer.state.values()}
    assert steps == {1.0}
    assert trainer.parts.train_loader.delivered == 8


def test_too_few_batches_to_accumulate(tmp_path):
    with pytest.raises(ValueError, match="4 batches a process, fewer than the 5 to accumulate"):
        make_trainer(tmp_path, accumulate=5).train_epoch(1)


def test_gradient_is_clipped(tmp_path, monkeypatch):
    trainer = make_trainer(tmp_path)
    norms = []
    step = trainer.parts.optimizer.step

    def watched(*args, **kwargs):
        grads = [p.grad.norm() for p in trainer.parts.model.parameters()]
        norms.append(torch.stack(grads).norm().item())
        return step(*args, **kwargs)

    monkeypatch.setattr(trainer.parts.optimizer, "step", watched)
    means = trainer.train_epoch(1)
    assert norms == pytest.approx([0.1] * 4, rel=1e-3)
    assert means["gradient norm"] > 0.2  # before clipping


class NaNs(Rectangles):
    """The third sample has a NaN in its search image."""

    def __init__(self, field):
        self.field = field
        self.drawn = 0

    def draw(self, generator):
        sample = super().draw(generator)
        self.drawn += 1
        if self.drawn == 3:
            getattr(sample, self.field).view(-1)[0] = math.nan
        return sample


def test_non_finite_loss_raises_before_the_update_and_saves_the_batch(tmp_path):
    trainer = make_trainer(tmp_path, NaNs("proposal_iou"))
    with pytest.raises(NonFiniteError, match=r"epoch 1, update 1, rank 0.*Ls/iou nan") as error:
        trainer.train_epoch(1)
    assert "Samples: rectangle; rectangle" in str(error.value)
    assert all(p.isfinite().all() for p in trainer.parts.model.parameters())
    assert {float(s["step"]) for s in trainer.parts.optimizer.state.values()} == {1.0}
    (path,) = trainer.settings.checkpoint_folder.glob("nonfinite_*.pt")
    batch = read_checkpoint(path)
    assert batch["proposal_iou"].isnan().sum() == 1
    assert batch["source"] == ("rectangle", "rectangle")
    assert math.isnan(batch["terms"]["Ls/iou"])


def test_non_finite_gradient_raises_before_the_update(tmp_path, monkeypatch):
    trainer = make_trainer(tmp_path)
    trainer.parts.model.bottleneck.weight.register_hook(lambda g: g * math.inf)
    before = trainer.parts.model.bottleneck.weight.detach().clone()
    with pytest.raises(NonFiniteError, match=r"gradient norm (nan|inf)"):
        trainer.train_epoch(1)
    assert torch.equal(trainer.parts.model.bottleneck.weight, before)


def test_dropout_follows_from_seed_rank_epoch_and_update(tmp_path):
    trainer = make_trainer(tmp_path)
    draws = []
    for key in ((1, 0), (1, 1), (2, 0), (1, 0)):
        trainer._seed(*key)
        draws.append(torch.rand(1).item())
    assert draws[0] == draws[3]
    assert len(set(draws)) == 3


@pytest.mark.parametrize(
    "options", [{"precision": "bf16"}, {"channels_last": True}, {"fused": True}]
)
def test_options_change_little(tmp_path, options):
    recipe = write_recipe(tmp_path)
    plain = run_tiny(tmp_path / "plain", recipe, epochs=1)
    other = run_tiny(tmp_path / "other", recipe, epochs=1, **options)
    assert other["Ls/total"] == pytest.approx(plain["Ls/total"], rel=0.1)


def test_a_run_goes_on_with_another_kind_of_adamw(tmp_path):
    """As from a CPU to a GPU: the moments are taken over, the kind is the new run's."""
    recipe = write_recipe(tmp_path)
    run_tiny(tmp_path / "plain", recipe)
    run_tiny(tmp_path / "mixed", recipe, epochs=1)
    run_tiny(tmp_path / "mixed", recipe, fused=True)
    plain, mixed = (
        read_checkpoint(
            Settings("tiny", tmp_path / name).checkpoint_folder / "AIATRACK_ep0002.pth.tar"
        )
        for name in ("plain", "mixed")
    )
    assert [group["fused"] for group in mixed["optimizer"]["param_groups"]] == [True, True]
    for name, weight in plain["net"].items():
        torch.testing.assert_close(mixed["net"][name], weight, rtol=1e-3, atol=1e-4, msg=name)


def test_a_step_runs_the_backbone_once(tmp_path):
    """On the search frames and both references of the batch together."""
    trainer = make_trainer(tmp_path)
    shapes = []
    trainer.parts.model.backbone.register_forward_pre_hook(
        lambda _, arguments: shapes.append(tuple(arguments[0].shape))
    )
    trainer.train_epoch(1)
    assert shapes == [(2 * 3, 3, 64, 64)] * 4  # four updates


def test_validation_changes_nothing_and_repeats(tmp_path):
    trainer = make_trainer(tmp_path)
    before = {name: t.clone() for name, t in trainer.parts.model.state_dict().items()}
    first = trainer.validate(1, trainer.parts.train_loader)
    assert trainer.validate(2, trainer.parts.train_loader) == first
    after = trainer.parts.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_curves_and_drawn_batches(tmp_path):
    recipe = write_recipe(tmp_path)
    run_tiny(tmp_path, recipe)
    events = EventAccumulator(str(Settings("tiny", tmp_path).tensorboard_folder))
    events.Reload()
    curves = set(events.Tags()["scalars"])
    terms = {"Ls/total", "Ls/giou", "Ls/l1", "Ls/iou", "IoU", "inverted"}
    speeds = {"gradient norm", "samples/s", "data wait"}
    assert {f"train/{name}" for name in terms | speeds} <= curves
    assert {f"val/{name}" for name in terms} <= curves
    assert {"learning rate/rest", "learning rate/backbone"} <= curves
    assert [e.step for e in events.Scalars("train/IoU")] == [2, 4, 6, 8]
    assert {"train/batch", "val/batch"} <= set(events.Tags()["images"])
    (text,) = events.Tensors("recipe/text_summary")
    assert b"DATASETS_NAME" in text.tensor_proto.string_val[0]


def test_sequences_are_tracked_after_epochs(tmp_path, monkeypatch, caplog):
    """Every other epoch, with the epoch's weights; nothing of the training changes by it."""
    own_sets.write_folders(tmp_path / "own")
    (tmp_path / "own" / "ride" / "groundtruth.txt").write_text("10,20,30,16\n")  # not to score
    monkeypatch.setenv("AIATRACK_OWN_DIR", str(tmp_path / "own"))
    weights = {}
    for name, look in (("looked", TrackSequences("own", every=2)), ("alone", None)):
        folder = tmp_path / name
        folder.mkdir()
        recipe = write_recipe(folder, EPOCH=3)
        settings = Settings(config=str(recipe), save_dir=folder)
        train(settings, CPU, tiny_samplers, look)
        path = settings.checkpoint_folder / "AIATRACK_ep0003.pth.tar"
        contents = read_checkpoint(path)
        weights[name] = contents["net"]
        events = EventAccumulator(str(settings.tensorboard_folder))
        events.Reload()
        tracked = {tag for tag in events.Tags()["scalars"] if tag.startswith("track/")}
        assert tracked == ({"track/AUC", "track/walk"} if look else set())
        assert ("track 2" in contents["stats"]["history"]) == bool(look)
        if look:
            (event,) = events.Scalars("track/AUC")
            assert event.step == 2 and 0 <= event.value <= 100
    assert all(
        torch.equal(weights["alone"][name], value) for name, value in weights["looked"].items()
    )
    for image in (tmp_path / "own" / "walk" / "img").iterdir():
        image.unlink()
    model = build_aiatrack(load_config(recipe))
    assert TrackSequences("own", every=2)(model, load_config(recipe), 2) == {}
    assert "after epoch 2, walk is not tracked: " in caplog.text


@pytest.mark.slow
def test_learns_rectangles(tmp_path):
    """A few updates on an easy task bring the training loss down."""
    recipe = write_recipe(tmp_path, LR=2e-3, BATCH_SIZE=8)
    cfg = load_config(recipe)
    assert cfg.TRAIN.LR == 2e-3
    run_tiny(tmp_path, recipe, epochs=5, samples=64)
    stats = read_checkpoint(
        Settings("tiny", tmp_path).checkpoint_folder / "AIATRACK_ep0005.pth.tar"
    )["stats"]["history"]
    assert stats["train 5"]["Ls/total"] < 0.85 * stats["train 1"]["Ls/total"]


def test_validation_leaves_out_windows_without_the_target(tmp_path):
    """As training does: there is no box to compare with."""

    class Beside(Rectangles):
        def draw(self, generator):
            sample = super().draw(generator)
            if generator.random() < 0.5:
                sample.boxes[2] += torch.tensor([2.0, 0, 0, 0])
            return sample

    trainer = make_trainer(tmp_path, Beside(), batch_size=8)
    model, loader = trainer.parts.model, trainer.parts.train_loader
    loader.set_epoch(0)
    batch = next(iter(loader)).to("cpu")
    actors = [AIATRACKActor(model, LossWeights(), absent=absent) for absent in (False, True)]
    for actor in actors:
        parts = trainer.parts._replace(actor=actor)
        trainer = LTRTrainer(parts, trainer.cfg, trainer.settings, CPU)
        means = trainer.validate(1, loader)
        with torch.no_grad():
            assert means["IoU"] == pytest.approx(actor(batch).terms["IoU"].item(), rel=1e-4)
    with torch.no_grad():
        with_all, shown = (actor(batch).terms["IoU"].item() for actor in actors)
    assert shown > 1.2 * with_all


def test_the_schedule_ends_with_the_time(tmp_path, monkeypatch):
    """A clock that goes on by a second an update: 10 updates, whatever the recipe's epochs are."""
    ticks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: float(next(ticks)))
    monkeypatch.setattr("lib.train.trainers.clock.time", clock)
    rates = []

    def note(optimizer, *_):
        rates.append(optimizer.param_groups[0]["lr"])

    hook = register_optimizer_step_pre_hook(note)
    recipe = write_recipe(tmp_path, EPOCH=2, SCHEDULER={"TYPE": "cosine", "WARMUP_EPOCHS": 0})
    try:
        run_tiny(tmp_path, recipe, until_seconds=14)
    finally:
        hook.remove()
    # Read at the start, at that of each epoch of 4 updates, and after each update.
    seconds = [1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13]
    cosine = [(1 + math.cos(math.pi * second / 14)) / 2 for second in seconds]
    assert rates == pytest.approx([load_config(str(recipe)).TRAIN.LR * part for part in cosine])
    folder = Settings(config=str(recipe), save_dir=tmp_path).checkpoint_folder
    saved = sorted(path.name for path in folder.glob("AIATRACK*"))
    assert saved == [f"AIATRACK_ep000{epoch}.pth.tar" for epoch in (1, 2, 3)]
    contents = read_checkpoint(folder / saved[-1])
    assert contents["epoch"] == 3 and contents["batches_done"] == 0
    with pytest.raises(ValueError, match="until and until_seconds are two ends; give one"):
        Settings(until=1, until_seconds=5)
    with pytest.raises(ValueError, match="until_seconds must be at least 1; given: 0"):
        Settings(until_seconds=0)
