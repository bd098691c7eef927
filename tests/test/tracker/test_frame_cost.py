"""Guards what a frame costs a GPU: operations, copies, and nothing waited for but the box."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from seeded import seeded_frame

from lib.config.aiatrack.config import load_config
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.fast.cudnn import fuse_layers
from lib.models.aiatrack.fast.factored import optimize_network
from lib.test.parameter.aiatrack import make_params
from lib.test.tracker import aiatrack as module
from lib.test.tracker.aiatrack import AiATrackTracker
from lib.test.tracker.transfer import Upload
from tests.gpu_stand_ins import Operations, counting, stand_in_for_cudnn

MIDDLE, CORNER = [140.0, 100, 20, 20], [0.0, 0, 20, 20]  # the second one's window is padded


@pytest.fixture(scope="module")
def leader() -> AiATrackTracker:
    """The baseline as a GPU runs it by default, on a device that has shapes and no values."""
    cfg = load_config("baseline")
    with pytest.MonkeyPatch.context() as monkeypatch:
        stand_in_for_cudnn(monkeypatch)
        model = optimize_network(build_aiatrack(cfg))
        fuse_layers(model, torch.device("cpu"))
    params = replace(make_params(cfg, "otb"), threshold=-1e9)  # every frame is remembered
    return AiATrackTracker(model, params, torch.device("meta"))


def cost(
    leader: AiATrackTracker,
    boxes: list[list[float]],
    monkeypatch: pytest.MonkeyPatch,
    unsure: tuple[int, ...] = (),
) -> Operations:
    """Operations of the second frame of targets that step together, but for reading the boxes."""
    found = [[0.4, 0.4, 0.2, 0.2, -2e9 if i in unsure else 0.9] for i in range(len(boxes))]
    stand_in_for_cudnn(monkeypatch)
    monkeypatch.setattr(module, "read", lambda _: np.array(found))
    trackers = [leader.for_new_target() for _ in boxes]
    frame = seeded_frame(0)
    for tracker, box in zip(trackers, boxes, strict=True):
        tracker.initialize(frame, box)
    for _ in range(2):
        for tracker, box in zip(trackers, boxes, strict=True):
            tracker.box = box
        regions = [tracker.crop_search_region(frame) for tracker in trackers]
        with counting() as operations:
            leader.track_batch(trackers, regions)
    return operations


def test_of_an_unpadded_frame(leader: AiATrackTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    operations = cost(leader, [MIDDLE], monkeypatch)
    assert operations.count.total() <= 250, operations.count
    assert operations.transfers == 1  # the window's pixels
    assert "aten.sin.default" not in operations.count  # no position encodings


def test_of_a_padded_frame(leader: AiATrackTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    operations = cost(leader, [CORNER], monkeypatch)
    assert operations.transfers == 2  # and its mask
    assert operations.count["aten.sin.default"] == 4


def test_of_a_batch(leader: AiATrackTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    """All windows travel together; fewer confident targets need no list of indices there."""
    operations = cost(leader, [MIDDLE] * 3, monkeypatch)
    assert operations.transfers == 1
    assert cost(leader, [MIDDLE] * 3, monkeypatch, unsure=(1,)).transfers == 1


def test_uploads_do_not_overwrite_each_other() -> None:
    """The buffer is used again for the next arrays of that shape, the results are not."""
    upload = Upload(torch.device("cpu"))
    draw = np.random.default_rng(0)
    pairs = [draw.integers(0, 255, (2, 4, 4, 3), np.uint8) for _ in range(3)]
    copies = [upload(*pair) for pair in pairs]
    single = upload(pairs[0][0] > 100)
    for got, expected in zip(copies, pairs, strict=True):
        np.testing.assert_array_equal(got.numpy(), expected)
    assert single.dtype == torch.bool and single.shape == (1, 4, 4, 3)
    out = torch.zeros(2, 4, 4, 3, dtype=torch.uint8)
    assert upload(*pairs[1], out=out) is out and (out.numpy() == pairs[1]).all()
