"""Guards attention maps: against the formulas written out, windows, figures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from seeded import seeded_box, seeded_frame
from torch import Tensor

from lib.io.video.sources import Frame
from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.attention import AiAAttention
from lib.models.aiatrack.references import KeyValue
from lib.test.tracker import load_tracker
from lib.test.tracker.aiatrack import AiATrackTracker
from lib.tools.attention.figure import LEFT, TILE, TOP, draw_view
from lib.tools.attention.maps import (
    AttentionRecorder,
    AttentionView,
    attention_views,
    cell_of,
    watched_attentions,
)
from lib.utils.crop import Crop

FRAMES = [Frame(t, t / 25, seeded_frame(t)) for t in range(6)]


@pytest.fixture
def tracker(tiny_recipe: Path, tiny_checkpoint: Path) -> AiATrackTracker:
    """A small plain tracker with two references, that remembers every frame."""
    hyper = (5, 2, -1e9)
    return load_tracker(tiny_recipe, tiny_checkpoint, device="cpu", hyper=hyper, plain=True)


def views_of(tracker: AiATrackTracker, **options: object) -> list[AttentionView]:
    with AttentionRecorder(watched_attentions(tracker.model)) as recorder:
        return list(attention_views(tracker, recorder, FRAMES, seeded_box(0), **options))


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def norm(x: np.ndarray, layer: torch.nn.LayerNorm) -> np.ndarray:
    gain, bias = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + layer.eps) * gain + bias


def by_hand(
    attention: AiAAttention, query: Tensor, memory: KeyValue, inner_pos: Tensor, token: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights of one query before and after, a list of (R*N,) a head, with NumPy alone."""
    w = {k: v.detach().double().numpy() for k, v in attention.state_dict().items()}
    heads, tokens, dim = attention.heads, attention.tokens, query.shape[-1]
    x, pos = query[0].double().numpy(), inner_pos[0].double().numpy()
    q = x @ w["in_proj_weight"][:dim].T + w["in_proj_bias"][:dim]  # (N, C)
    before, after = [], []
    for head in range(heads):
        own = q[:, head * dim // heads : (head + 1) * dim // heads]  # (N, d)
        key = memory.key[0, head].double().numpy()  # (R*N, d)
        columns = key @ own.T / np.sqrt(own.shape[1])  # (R*N, N)
        refined = columns.copy()
        for start in range(0, len(key), tokens):
            part = columns[start : start + tokens]
            inner, name = attention.inner_attn, "inner_attn.corr_attn."
            projected = part @ w["inner_attn.corr_proj.weight"].T + w["inner_attn.corr_proj.bias"]
            z = norm(projected, inner.feat_norm1) + pos[start : start + tokens]
            a, b = (
                z @ w[f"{name}{k}_proj_weight"].T + w[f"{name}{k}_proj_bias"] for k in ("q", "k")
            )
            seen = softmax(a @ b.T / np.sqrt(a.shape[1])) @ norm(part, inner.feat_norm2)
            out = seen @ w[f"{name}out_proj.weight"].T + w[f"{name}out_proj.bias"]
            refined[start : start + tokens] += seen + out
        before.append(softmax(columns[:, token]))
        after.append(softmax(refined[:, token]))
    return before, after


def test_maps_are_the_formulas(tracker: AiATrackTracker) -> None:
    """Self, long-term and short-term attention; weights sum to one over all references."""
    attentions = watched_attentions(tracker.model)
    assert list(attentions) == ["self, layer 2", "long-term", "short-term"]
    with AttentionRecorder(attentions) as recorder:
        list(attention_views(tracker, recorder, FRAMES, seeded_box(0)))
        cell = (1, 3)
        for (name, attention), references in zip(attentions.items(), (1, 1, 2), strict=True):
            maps = recorder.maps(name, cell)
            given = recorder._inputs[attention]
            expected = by_hand(attention, *given, token=3 * 4 + 1)
            for found, wanted in zip(maps, expected, strict=True):
                assert found.shape == (2, references, 4, 4)
                np.testing.assert_allclose(found.reshape(2, -1), wanted, atol=1e-6, rtol=1e-4)
                np.testing.assert_allclose(found.sum((1, 2, 3)), 1, atol=1e-5)
            assert np.abs(maps.before - maps.after).max() > 1e-4


def test_the_map_after_is_what_the_network_used(tracker: AiATrackTracker) -> None:
    """Weights times values give the attention's own output at that cell."""
    attentions = watched_attentions(tracker.model)
    outputs: dict[str, Tensor] = {}
    for name, attention in attentions.items():
        attention.register_forward_hook(lambda _, __, out, name=name: outputs.update({name: out}))
    with AttentionRecorder(attentions) as recorder:
        list(attention_views(tracker, recorder, FRAMES, seeded_box(0)))
        for name, attention in attentions.items():
            after = torch.from_numpy(recorder.maps(name, (2, 0)).after).flatten(1)  # (h, R*N)
            value = recorder._inputs[attention][1].value[0]  # (h, R*N, d)
            mixed = (after[:, None] @ value).flatten()
            with torch.inference_mode():
                torch.testing.assert_close(attention.out_proj(mixed), outputs[name][0, 2])


def test_rows_are_the_references_the_decoder_saw(tracker: AiATrackTracker) -> None:
    views = views_of(tracker)
    assert [view.frame for view in views] == [1, 2, 3, 4, 5]
    # Entries before frames 1 to 5: [0], [0 1], ..., [0 1 2 3 4]; places last * i // 2, i = 1, 2.
    recent = [(0, 0), (0, 1), (1, 2), (1, 3), (2, 4)]
    for view, frames in zip(views, recent, strict=True):
        assert [row.frame for row in view.rows] == [view.frame, 0, *frames]
        np.testing.assert_array_equal(view.rows[0].window, view.window)
    pictures = {view.frame: view.window for view in views}
    for row in views[-1].rows[2:]:
        np.testing.assert_array_equal(row.window, pictures[row.frame])
    first = Crop.around(np.array(seeded_box(0)), 5, 64).cut(seeded_frame(0)).image
    np.testing.assert_array_equal(views[-1].rows[1].window, first)
    title = views[-1].rows[-1].title
    assert title == "short-term\nframe 4"


def test_watching_changes_nothing(tracker: AiATrackTracker) -> None:
    tracker.initialize(FRAMES[0].image, seeded_box(0))
    boxes = [tracker.track(frame.image).box for frame in FRAMES[1:]]
    views_of(tracker)
    assert tracker.box == boxes[-1]
    assert not any(m._forward_pre_hooks for m in tracker.model.modules())


def test_since_and_the_cell(tracker: AiATrackTracker) -> None:
    (view,) = views_of(tracker, since=5)
    assert view.frame == 5
    crop = Crop.around(np.array(views_of_box_before(tracker)), 5, 64)
    point = (crop.x1 + 0.3 * crop.side, crop.y1 + 0.8 * crop.side)
    assert views_of(tracker, since=5, point=point)[0].cell == (1, 3)
    with pytest.raises(ValueError, match="frame 1: the point 9999,1 lies outside the search wind"):
        views_of(tracker, point=(9999, 1))


def views_of_box_before(tracker: AiATrackTracker) -> list[float]:
    """The box of frame 4, around which the window of frame 5 lies."""
    tracker.initialize(FRAMES[0].image, seeded_box(0))
    for frame in FRAMES[1:5]:
        tracker.track(frame.image)
    return tracker.box


CELLS = [
    ("corner", (100, 50), (0, 0)),
    ("last pixel", (179.9, 129.9), (4, 4)),
    ("second cell: 16 pixels each", (116, 65.9), (1, 0)),
]


@pytest.mark.parametrize(("name", "point", "cell"), CELLS, ids=[c[0] for c in CELLS])
def test_cell_of(name: str, point: tuple, cell: tuple) -> None:
    # 20 x 12.8 pixels: area 256, window 5 x 16 = 80 pixels around (140, 90), five cells.
    crop = Crop.around(np.array([130, 83.6, 20, 12.8]), 5, 80)
    assert (crop.x1, crop.y1, crop.side) == (100, 50, 80)
    assert cell_of(crop, point) == cell


def test_cell_outside() -> None:
    crop = Crop.around(np.array([130, 83.6, 20, 12.8]), 5, 80)
    for point in ((99.9, 60), (180, 60), (120, 49), (120, 130)):
        with pytest.raises(ValueError, match=r"holds x from 100 to 179 and y from 50 to 129"):
            cell_of(crop, point)


def test_layers(tiny_model: AiATrack) -> None:
    assert "self, layer 1" in watched_attentions(tiny_model, 1)
    for layer in (0, 3, -1):
        with pytest.raises(ValueError, match=f"the encoder has layers 1 to 2; given: {layer}"):
            watched_attentions(tiny_model, layer)


def test_figure_has_its_tiles(tracker: AiATrackTracker) -> None:
    """Windows stand in the first column, maps of two heads beside them, one row a reference."""
    (view,) = views_of(tracker, since=5)
    picture = draw_view(view, dpi=100)
    height, width = picture.shape[:2]
    assert height % 2 == width % 2 == 0 and picture.dtype == np.uint8
    assert len(view.rows) == 4
    assert abs(height - 100 * (TOP + 4 * TILE)) < 30 and abs(width - 100 * (LEFT + 5 * TILE)) < 60
    for i, row in enumerate(view.rows[1:], 1):
        top, left = round(100 * (TOP + i * (TILE + 0.04))), round(100 * LEFT)
        tile = picture[top + 4 : top + 146, left + 4 : left + 146].reshape(-1, 3).mean(0)
        np.testing.assert_allclose(tile, row.window.reshape(-1, 3).mean(0), atol=6)
    assert (picture.reshape(-1, 3) == (0, 229, 255)).all(1).any()  # the query's mark
