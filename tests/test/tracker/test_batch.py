"""Guards several targets in one pass: the boxes of each alone, and no memory shared."""

from pathlib import Path

import numpy as np
import pytest
import torch
from seeded import seeded_box, seeded_frame

from lib.config.aiatrack.config import make_config
from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.fast.factored import optimize_network
from lib.models.aiatrack.references import KeyValue, References
from lib.test.parameter.aiatrack import make_params
from lib.test.tracker import load_tracker
from lib.test.tracker.aiatrack import AiATrackTracker, stack_references, unbind_references
from tests.conftest import TINY

# First frame and box of each target; the second one's window is padded, the last one's is not.
STARTS = [(0, seeded_box(0)), (3, [-10, 5, 60, 50]), (1, [150, 120, 12, 9])]
FRAMES = 8


def make_trackers(model: AiATrack, threshold: float) -> list[AiATrackTracker]:
    """A tracker a target, all around one network."""
    params = make_params(make_config(TINY), "otb", (4, 3, threshold))
    first = AiATrackTracker(model, params, torch.device("cpu"))
    return [first, *(first.for_new_target() for _ in STARTS[1:])]


def track_alone(trackers: list[AiATrackTracker]) -> np.ndarray:
    """One after another: (targets, frames, 6) boxes, raw scores and lengths of the memory."""
    rows = []
    for tracker, (first, box) in zip(trackers, STARTS, strict=True):
        tracker.initialize(seeded_frame(first), box)
        for t in range(first + 1, first + FRAMES):
            output = tracker.track(seeded_frame(t % 10))
            rows.append([*output.box, tracker.raw_score, len(tracker.memory)])
    return np.array(rows).reshape(len(STARTS), FRAMES - 1, 6)


def track_as_batch(trackers: list[AiATrackTracker]) -> np.ndarray:
    """In lock-step; the same."""
    rows, starts = [], STARTS[: len(trackers)]
    for tracker, (first, box) in zip(trackers, starts, strict=True):
        tracker.initialize(seeded_frame(first), box)
    for t in range(1, FRAMES):
        looks = zip(trackers, starts, strict=True)
        regions = [
            tracker.crop_search_region(seeded_frame((first + t) % 10))
            for tracker, (first, _) in looks
        ]
        outputs = AiATrackTracker.track_batch(trackers, regions)
        rows += [
            [*output.box, tracker.raw_score, len(tracker.memory)]
            for output, tracker in zip(outputs, trackers, strict=True)
        ]
    return np.array(rows).reshape(FRAMES - 1, len(starts), 6).swapaxes(0, 1)


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "optimized"])
def test_batch_equals_one_by_one(tiny_model: AiATrack, plain: bool) -> None:
    """Also where only some of the batch are remembered in a frame."""
    model = tiny_model if plain else optimize_network(tiny_model)
    threshold = float(np.median(track_alone(make_trackers(model, 1e9))[..., 4]))
    alone = track_alone(make_trackers(model, threshold))
    counts = alone[:, -1, 5]
    assert (counts > 1).any() and len(set(counts)) > 1  # some of them, not the same number
    np.testing.assert_allclose(track_as_batch(make_trackers(model, threshold)), alone, atol=1e-3)


@pytest.mark.slow
def test_loop_of_the_reference_in_company(golden: dict, seeded_checkpoint: Path) -> None:
    """The baseline network, another target beside that of the fixture."""
    capacity, ensemble, threshold = golden["track_all/hyper"].tolist()
    hyper = (int(capacity), int(ensemble), threshold)
    tracker = load_tracker("baseline", seeded_checkpoint, device="cpu", hyper=hyper)
    other = tracker.for_new_target()
    tracker.initialize(seeded_frame(0), golden["track_all/init"])
    other.initialize(seeded_frame(0), [200, 30, 60, 40])
    for t, box in enumerate(golden["track_all/boxes"][:4], 1):
        regions = [x.crop_search_region(seeded_frame(t)) for x in (other, tracker)]
        output = tracker.track_batch([other, tracker], regions)[1]
        np.testing.assert_allclose(output.box, box, atol=0.05, err_msg=f"frame {t}")
        assert tracker.raw_score == pytest.approx(golden["track_all/pred_iou"][t - 1], abs=1e-3)


def storages(tracker: AiATrackTracker) -> dict[int, int]:
    """Address and bytes of everything that a tracker's memory keeps alive."""
    memory = tracker.memory
    tensors = [*memory.first.long, *memory.recent.short, memory.recent.inner_pos]
    for entry in memory.entries:
        tensors += [*entry.short, entry.inner_pos]
    return {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors}


def test_each_keeps_its_own_memory_and_no_more(tiny_model: AiATrack) -> None:
    together, alone = make_trackers(tiny_model, -1e9), make_trackers(tiny_model, -1e9)
    track_as_batch(together)
    track_alone(alone)
    kept = [storages(tracker) for tracker in together]
    assert not set(kept[0]) & set(kept[1]) and not set(kept[1]) & set(kept[2])
    expected = [sum(storages(tracker).values()) for tracker in alone]
    assert [sum(own.values()) for own in kept] == expected


def test_references_are_stacked_and_unbound() -> None:
    def references(*numbers: float) -> References:
        x = torch.tensor(numbers)[:, None]  # (B, 1)
        return References(None, KeyValue(x, x + 10), x + 20)

    rows = [references(float(i)) for i in range(3)]
    assert stack_references(rows[:1]) is rows[0]
    stacked = stack_references(rows)
    assert stacked.long is None and stacked.short.value.flatten().tolist() == [10, 11, 12]
    unbound = unbind_references(stacked, 3)
    assert [row.inner_pos.tolist() for row in unbound] == [[[20]], [[21]], [[22]]]
    assert all(row.short.key.untyped_storage().nbytes() == 4 for row in unbound)  # one value


def test_only_trackers_of_one_network(tiny_model: AiATrack) -> None:
    one, stranger = make_trackers(tiny_model, 0)[0], make_trackers(tiny_model, 1)[0]
    for tracker in (one, stranger):
        tracker.initialize(seeded_frame(0), seeded_box(0))
    regions = [tracker.crop_search_region(seeded_frame(1)) for tracker in (one, stranger)]
    with pytest.raises(ValueError, match="only if they share network and settings"):
        AiATrackTracker.track_batch([one, stranger], regions)
