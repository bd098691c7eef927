"""Guards a frame as one graph: over tensors that stay in place, the boxes of the plain tracker."""

import numpy as np
import pytest
import torch

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.fast.factored import optimize_network
from lib.models.aiatrack.references import KeyValue, References
from lib.test.tracker import graphed
from lib.test.tracker.graphed import GraphedTracker, capture
from tests.test.tracker.test_batch import STARTS, make_trackers, track_alone, track_as_batch

CPU = torch.device("cpu")


def make_graphed(model: AiATrack, threshold: float) -> list[GraphedTracker]:
    params = make_trackers(model, threshold)[0].params
    first = GraphedTracker(model, params, CPU)
    return [first, *(first.for_new_target() for _ in STARTS[1:])]


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "optimized"])
def test_boxes_of_the_plain_tracker(tiny_model: AiATrack, plain: bool) -> None:
    """One after another over one row; then together, a row more than targets; some remembered.

    Windows with padding and without follow each other, and a target takes over another's row.
    """
    model = tiny_model if plain else optimize_network(tiny_model)
    threshold = float(np.median(track_alone(make_trackers(model, 1e9))[..., 4]))
    expected = track_alone(make_trackers(model, threshold))
    trackers = make_graphed(model, threshold)
    for _ in range(2):
        np.testing.assert_allclose(track_alone(trackers), expected, atol=1e-3)
    assert list(trackers[0].graphs) == [1]
    np.testing.assert_allclose(track_as_batch(trackers), expected, atol=1e-3)
    assert list(trackers[-1].graphs) == [1, 4]  # shared, and no other size was captured
    np.testing.assert_allclose(track_as_batch(trackers[:2]), expected[:2], atol=1e-3)
    assert list(trackers[0].graphs) == [1, 4]


def test_without_a_graph_it_goes_on(
    tiny_model: AiATrack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nand much more")

    monkeypatch.setattr(graphed, "capture", refuse)
    expected = track_alone(make_trackers(tiny_model, 0.0))
    with caplog.at_level("WARNING"):
        got = track_alone(make_graphed(tiny_model, 0.0))
    np.testing.assert_array_equal(got, expected)
    line = "no CUDA graph, going on without: operation not permitted when stream is capturing"
    assert [record.getMessage() for record in caplog.records] == [line]


def test_outputs_are_overwritten() -> None:
    """As those of a graph are: who keeps them must copy them."""
    numbers = iter(range(1, 5))

    def step() -> graphed.Outputs:
        rows = torch.full((1, 5), float(next(numbers)))
        return rows, References(None, KeyValue(rows, rows), rows)

    replay = capture(step, CPU)
    first = replay()[0]
    assert replay()[0] is first and first[0, 0] == 3
