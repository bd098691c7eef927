"""Guards what only a GPU can show; skipped without one, run by tracking/gpu_check.sh."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from seeded import seeded_box, seeded_frame

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.fast.cudnn import FusedConv2d
from lib.test.tracker import aiatrack, load_tracker
from lib.test.tracker.graphed import GraphedTracker
from lib.tools.profiling.training import random_batch
from lib.train.admin.settings import Settings
from lib.train.build import build_actor_and_optimizer
from lib.train.trainers.step import update_weights
from tests.test.tracker.test_batch import make_trackers, track_alone, track_as_batch
from tests.train.tiny import NO_DROPOUT, write_recipe

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

GPU = torch.device("cuda")
WAYS = [{}, {"plain": True}, {"graph": True}]


@pytest.mark.parametrize("way", WAYS, ids=["default", "plain", "graph"])
def test_boxes_of_the_cpu(seeded_checkpoint: Path, way: dict) -> None:
    boxes = {}
    for device, options in (("cpu", {}), ("cuda", way)):
        hyper = (100, 3, -1e9)
        tracker = load_tracker("baseline", seeded_checkpoint, device=device, hyper=hyper, **options)
        tracker.initialize(seeded_frame(0), seeded_box(0))
        boxes[device] = [tracker.track(seeded_frame(t)).box for t in range(1, 10)]
    np.testing.assert_allclose(boxes["cuda"], boxes["cpu"], atol=0.05)
    if way.get("graph"):
        assert list(tracker.graphs) == [1] and not tracker.refusals
    if not way:
        assert any(isinstance(module, FusedConv2d) for module in tracker.model.modules())


def test_nothing_is_waited_for_but_the_box(
    tiny_recipe: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = load_tracker(tiny_recipe, tiny_checkpoint, device="cuda", hyper=(5, 3, -1e9))
    tracker.initialize(seeded_frame(0), seeded_box(0))
    tracker.track(seeded_frame(1))
    monkeypatch.setattr(aiatrack, "read", lambda rows: np.array([[0.4, 0.4, 0.2, 0.2, 0.9]]))
    torch.cuda.set_sync_debug_mode("error")
    try:
        tracker.track(seeded_frame(2))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_batches_as_graphs(tiny_model: AiATrack) -> None:
    """Three targets in a graph of four: the boxes of each alone, some frames remembered."""
    threshold = float(np.median(track_alone(make_trackers(tiny_model, 1e9))[..., 4]))
    expected = track_alone(make_trackers(tiny_model, threshold))
    first = GraphedTracker(tiny_model, make_trackers(tiny_model, threshold)[0].params, GPU)
    trackers = [first, first.for_new_target(), first.for_new_target()]
    np.testing.assert_allclose(track_as_batch(trackers), expected, atol=0.05)
    assert list(first.graphs) == [4] and not first.refusals


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    """A process group of one through NCCL."""
    dist.init_process_group("nccl", f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_distributed_step_of_one_process(tmp_path: Path, one_process: None) -> None:
    """Gradients that pass through NCCL are those without."""
    recipe = write_recipe(tmp_path, "MODEL", TRANSFORMER=NO_DROPOUT)
    settings = Settings(config=str(recipe), batch_size=2)
    cfg, norms = settings.recipe(), []
    batch = random_batch(2, cfg.DATA.SEARCH.SIZE).to(GPU, non_blocking=False)
    for wrapped in (False, True):
        torch.manual_seed(0)
        model = build_aiatrack(cfg).to(GPU).train()
        actor, optimizer = build_actor_and_optimizer(model, cfg, settings, GPU)
        if wrapped:
            actor.net = torch.nn.parallel.DistributedDataParallel(model, device_ids=[0])
        scaler = torch.amp.GradScaler("cuda", enabled=False)
        norms.append(update_weights(actor, optimizer, scaler, [batch], 0.1).norm)
    assert norms[1] == pytest.approx(norms[0], rel=1e-3) and norms[0] > 0
