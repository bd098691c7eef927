"""Guards the network: batched as one by one, precisions, compile, export, other backbones."""

import copy
import math

import pytest
import timm
import torch
from torch import Tensor, nn

from lib.config.aiatrack.config import make_config
from lib.models.aiatrack.aiatrack import AiATrack, Encoded, covered_shares, target_cells
from lib.models.aiatrack.attention import AiAAttention
from lib.models.aiatrack.backbone import Backbone
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.head import sharpness, squared_positions
from lib.models.aiatrack.initialization import init_transformer
from lib.models.aiatrack.references import KeyValue, References, concat_references
from lib.utils.box_ops import xywh_to_xyxy, xyxy_to_xywh
from tests.conftest import TINY

SIZE, GRID = 64, 4


def random_inputs(batch: int, references: int = 2, proposals: int = 3) -> dict[str, Tensor]:
    """Arguments of `AiATrack.forward`, masks with padding on two sides."""
    g = torch.Generator().manual_seed(1)
    masks = torch.zeros(batch, 1 + references, SIZE, SIZE, dtype=torch.bool)
    masks[:, 0, :, 40:] = True
    masks[:, 1, :20] = True
    low = torch.rand(batch, references + proposals, 2, generator=g) * 0.5
    size = torch.rand(batch, references + proposals, 2, generator=g) * 0.4 + 0.1
    boxes = torch.cat([low, size], -1)
    return {
        "search": torch.rand(batch, 3, SIZE, SIZE, generator=g),
        "search_mask": masks[:, 0],
        "references": torch.rand(batch, references, 3, SIZE, SIZE, generator=g),
        "reference_masks": masks[:, 1:],
        "reference_boxes": boxes[:, :references],
        "proposals": boxes[:, references:],
    }


def step_by_step(model: AiATrack, x: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """encode, memorize and decode each frame on its own, as tracking does."""
    search = model.encode(x["search"], x["search_mask"])
    memory = [
        model.memorize(
            model.encode(x["references"][:, i], x["reference_masks"][:, i]),
            x["reference_boxes"][:, i],
        )
        for i in range(x["references"].shape[1])
    ]
    features = model.decode(search, memory[0], concat_references(memory[1:]))
    return model.box_head(features)[0], model.iou_head(features, x["proposals"])


@pytest.mark.parametrize("references", [2, 3])
@torch.no_grad()
def test_forward_is_encode_memorize_decode(tiny_model: AiATrack, references: int) -> None:
    x = random_inputs(2, references)
    box, iou = step_by_step(tiny_model, x)
    prediction = tiny_model(**x)
    assert torch.allclose(prediction.box_xyxy, box, atol=1e-6)
    assert torch.allclose(prediction.iou, iou, atol=1e-5)
    assert prediction.box_xyxy.shape == (2, 4) and prediction.iou.shape == (2, 3)


@torch.no_grad()
def test_every_frame_is_sought_by_the_others(tiny_model: AiATrack) -> None:
    x = random_inputs(2)
    search_box = torch.tensor([[0.3, 0.4, 0.2, 0.3], [0.1, 0.2, 0.5, 0.4]])
    every = tiny_model(**x, search_box=search_box)
    assert every.box_xyxy.shape == (6, 4) and every.corner_scores.shape == (6, 2, GRID, GRID)
    alone = tiny_model(**x)
    torch.testing.assert_close(every.box_xyxy[:2], alone.box_xyxy)
    torch.testing.assert_close(every.iou, alone.iou)
    # The second reference is sought with the search frame first, the first reference recent.
    frames, masks = x["references"], x["reference_masks"]
    turned = dict(
        search=frames[:, 1],
        search_mask=masks[:, 1],
        references=torch.stack([x["search"], frames[:, 0]], 1),
        reference_masks=torch.stack([x["search_mask"], masks[:, 0]], 1),
        reference_boxes=torch.stack([search_box, x["reference_boxes"][:, 0]], 1),
        proposals=x["proposals"],
    )
    torch.testing.assert_close(every.box_xyxy[4:], tiny_model(**turned).box_xyxy)


@torch.no_grad()
def test_batched_is_single(tiny_model: AiATrack) -> None:
    x = random_inputs(3)
    together = tiny_model(**x)
    for i in range(3):
        alone = tiny_model(**{key: value[i : i + 1] for key, value in x.items()})
        assert torch.allclose(alone.box_xyxy[0], together.box_xyxy[i], atol=1e-6)
        assert torch.allclose(alone.iou[0], together.iou[i], atol=1e-5)


@torch.no_grad()
def test_cached_is_uncached(tiny_model: AiATrack) -> None:
    """References remembered one by one equal keys and values projected in one go."""
    frames = [Encoded(torch.randn(1, 16, 32), torch.randn(1, 16, 16)) for _ in range(3)]
    boxes = torch.tensor([[[0.1, 0.2, 0.5, 0.4]], [[0.3, 0.3, 0.3, 0.6]], [[0, 0, 1, 1.0]]])
    cached = concat_references(
        [tiny_model.memorize(f, b) for f, b in zip(frames, boxes, strict=True)]
    )
    tokens = torch.cat([f.tokens for f in frames], 1)
    target = torch.cat([target_cells(b, torch.arange(GRID)) for b in boxes], 1)[..., None]
    embedding = torch.where(
        target, tiny_model.foreground_embed.weight, tiny_model.background_embed.weight
    )
    attention = tiny_model.transformer.decoder.layers[0].short_term_attn
    direct = attention.project(tokens, tokens + embedding)
    for a, b in zip(cached.short, direct, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_save_load_gives_the_same(tiny_model: AiATrack, tmp_path) -> None:
    torch.save(tiny_model.state_dict(), tmp_path / "w.pt")
    other = build_aiatrack(make_config(TINY)).eval()
    x = random_inputs(1)
    with torch.no_grad():
        expected = tiny_model(**x)
        assert not torch.equal(other(**x).box_xyxy, expected.box_xyxy)
        other.load_state_dict(torch.load(tmp_path / "w.pt", weights_only=True))
        assert torch.equal(other(**x).box_xyxy, expected.box_xyxy)


def test_without_aia_it_is_multi_head_attention() -> None:
    torch.manual_seed(0)
    ours = AiAAttention(16, 4, tokens=9, match_dim=8, use_aia=False).eval()
    init_transformer(ours)  # on its own it has none
    theirs = nn.MultiheadAttention(16, 4, batch_first=True).eval()
    theirs.load_state_dict(ours.state_dict())
    query, key, value = torch.randn(2, 9, 16), torch.randn(2, 18, 16), torch.randn(2, 18, 16)
    got = ours(query, ours.project(key, value), torch.zeros(2, 18, 8))
    assert torch.allclose(got, theirs(query, key, value)[0], atol=1e-6)


def test_aia_by_loops() -> None:
    """The inner attention written out per head, frame and column, from the paper's formulas."""
    torch.manual_seed(0)
    n, heads, width, frames = 4, 2, 8, 2
    layer = AiAAttention(width, heads, tokens=n, match_dim=4).eval()
    for p in layer.parameters():
        nn.init.normal_(p, std=0.5)
    query, memory = torch.randn(1, n, width), torch.randn(1, n * frames, width)
    pos = torch.randn(1, n * frames, 4)
    wq, wk, wv = layer.in_proj_weight.chunk(3)
    bq, bk, bv = layer.in_proj_bias.chunk(3)
    inner = layer.inner_attn
    q, k, v = query[0] @ wq.T + bq, memory[0] @ wk.T + bk, memory[0] @ wv.T + bv
    heads_out = []
    for h in range(heads):
        part = slice(h * width // heads, (h + 1) * width // heads)
        m = q[:, part] @ k[:, part].T / math.sqrt(width // heads)  # (Nq, R*N)
        refined = m.clone()
        for r in range(frames):
            block = slice(r * n, (r + 1) * n)
            columns = m[:, block].T  # one token a key
            z = inner.feat_norm1(inner.corr_proj(columns)) + pos[0, block]
            iq = z @ inner.corr_attn.q_proj_weight.T + inner.corr_attn.q_proj_bias
            ik = z @ inner.corr_attn.k_proj_weight.T + inner.corr_attn.k_proj_bias
            attended = (iq @ ik.T / math.sqrt(4)).softmax(-1) @ inner.feat_norm2(columns)
            refined[:, block] += (attended + inner.corr_attn.out_proj(attended)).T
        heads_out.append(refined.softmax(-1) @ v[:, part])
    expected = layer.out_proj(torch.cat(heads_out, -1))
    got = layer(query, layer.project(memory, memory), pos)[0]
    assert torch.allclose(got, expected, atol=1e-5)


CELLS = [
    # name, x, y, w, h in cells, (columns, rows) covered on a 16 x 16 grid
    ("plain", [6, 7, 5, 3], (range(6, 11), range(7, 10))),
    ("half to even, each on its own", [2.5, 3.5, 1.5, 2.5], ([2, 3], [4, 5])),
    ("over the edge", [-2, 14, 4, 8], ([0, 1], [14, 15])),
    ("inverted is empty", [8, 8, -3, 4], ([], [])),
    ("less than half a cell is empty", [8, 8, 0.4, 4], ([], [])),
]


@pytest.mark.parametrize(("name", "box", "covered"), CELLS, ids=[c[0] for c in CELLS])
def test_target_cells(name: str, box: list, covered: tuple) -> None:
    got = target_cells(torch.tensor([box]) / 16, torch.arange(16)).view(16, 16)
    expected = torch.zeros(16, 16, dtype=torch.bool)
    for row in covered[1]:
        for column in covered[0]:
            expected[row, column] = True
    assert torch.equal(got, expected)


SHARES = [
    # name, x, y, w, h in cells, {(row, column): share} on a 4 x 4 grid
    ("whole cells", [1, 2, 2, 1], {(2, 1): 1, (2, 2): 1}),
    ("between cells", [0.5, 1, 1, 1], {(1, 0): 0.5, (1, 1): 0.5}),
    ("within a cell", [2.25, 3.5, 0.5, 0.25], {(3, 2): 0.125}),
    ("over the edge", [-1, 3.5, 1.5, 2], {(3, 0): 0.25}),
    ("inverted is empty", [3, 3, -2, 1], {}),
]


@pytest.mark.parametrize(("name", "box", "shares"), SHARES, ids=[c[0] for c in SHARES])
def test_covered_shares(name: str, box: list, shares: dict) -> None:
    expected = torch.zeros(4, 4)
    for cell, share in shares.items():
        expected[cell] = share
    got = covered_shares(torch.tensor([box]) / 4, torch.arange(4)).view(4, 4)
    assert torch.allclose(got, expected, atol=1e-6)


@torch.no_grad()
def test_shares_mark_by_the_same_embeddings() -> None:
    """A half-covered cell is half target, half background; whole cells are as when rounded."""
    torch.manual_seed(0)
    rounded = build_aiatrack(make_config(TINY)).eval()
    recipe = {**TINY, "MODEL": {**TINY["MODEL"], "TARGET_CELLS": "coverage"}}
    shared = build_aiatrack(make_config(recipe)).eval()
    shared.load_state_dict(rounded.state_dict())
    frame = Encoded(torch.randn(1, 16, 32), torch.randn(1, 16, 16))
    whole, half, none = (torch.tensor([[0.0, 0, w, 1]]) for w in (0.5, 0.375, 0.25))
    expected = rounded.memorize(frame, whole).short
    assert torch.equal(shared.memorize(frame, whole).short.value, expected.value)
    first, middle, last = (shared.memorize(frame, box).short.value for box in (whole, half, none))
    assert torch.allclose(middle, (first + last) / 2, atol=1e-5)
    assert not torch.allclose(first, last, atol=1e-2)


@torch.no_grad()
def test_recent_references_may_be_marked_elsewhere(tiny_model: AiATrack) -> None:
    """Where the first reference stays; marks at the boxes themselves change nothing."""
    x = random_inputs(2)
    boxes = torch.cat([x["reference_boxes"], x["proposals"][:, :1]], 1)
    x["search_box"] = x["proposals"][:, 0]
    plain = tiny_model(**x)
    same = tiny_model(**x, recent_boxes=boxes)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(plain, same, strict=True))
    marks = boxes.clone()
    marks[:, 1] = torch.tensor([0.6, 0.6, 0.3, 0.3])  # the second reference's
    moved = tiny_model(**x, recent_boxes=marks)
    shift = (plain.box_xyxy - moved.box_xyxy).abs().amax(1)
    # The search frames see it as a recent one, the first references as their first one.
    assert (shift[:2] > 1e-6).all() and (shift[2:] < 1e-6).all()


@torch.no_grad()
def test_the_own_box_is_scored_last(tiny_model: AiATrack) -> None:
    x = random_inputs(2)
    plain, scored = tiny_model(**x), tiny_model(**x, score_own=True)
    assert torch.allclose(scored.iou[:, :-1], plain.iou, atol=1e-6)
    own = x | {"proposals": xyxy_to_xywh(plain.box_xyxy)[:, None]}
    assert torch.allclose(scored.iou[:, -1:], tiny_model(**own).iou, atol=1e-5)


def test_sharpness_by_hand() -> None:
    """Corners sure, or spread over two cells of a box 4 cells wide, along one axis or none."""
    scores = torch.full((2, 2, 8, 8), -50.0)
    scores[:, 0, 2, 2], scores[:, 1, 6, 6] = 50, 50
    scores[1, 1, 6, 5] = scores[1, 1, 6, 7] = 100  # columns 5 and 7: 1 cell of deviation
    box = torch.tensor([[2, 2, 6, 6], [2, 2, 6, 6]]) / 8
    squares = squared_positions(8)
    got = sharpness(scores, box, squares)
    torch.testing.assert_close(got, torch.tensor([[1.0], [1 - 1 / 4 / 2]]))
    assert sharpness(scores[:1], torch.tensor([[0.5, 0.5, 0.4, 0.6]]), squares).item() == 0


@torch.no_grad()
def test_scores_may_be_weighed_by_sharpness(tiny_model: AiATrack) -> None:
    """The predicted IoU itself is scaled; the box and what is not asked for stay."""
    assert tiny_model.squares is None
    tiny_model.eval()
    x = random_inputs(2)
    frame = tiny_model.encode(x["search"], x["search_mask"])
    first = tiny_model.memorize(frame, x["reference_boxes"][:, 0])
    recent = concat_references([first] * 3)
    box, plain = tiny_model.locate(frame, first, recent)
    maps = tiny_model.box_head(tiny_model.decode(frame, first, recent))[1]
    tiny_model.squares = squared_positions(GRID)
    same_box, weighed = tiny_model.locate(frame, first, recent)
    assert torch.equal(box, same_box)
    factor = sharpness(maps, xywh_to_xyxy(box), squared_positions(GRID))
    torch.testing.assert_close((weighed + 1) / 2, (plain + 1) / 2 * factor)


@torch.no_grad()
def test_bf16_autocast_stays_close(tiny_model: AiATrack) -> None:
    x = random_inputs(2)
    expected = tiny_model(**x)
    with torch.autocast("cpu", torch.bfloat16):
        got = tiny_model(**x)
    assert got.box_xyxy.dtype == torch.float32 and got.iou.dtype == torch.float32
    assert not torch.equal(got.box_xyxy, expected.box_xyxy)  # it did run in bf16
    assert torch.allclose(got.box_xyxy, expected.box_xyxy, atol=0.02)


class Encode(nn.Module):
    """`encode` as a module, which is what torch.export takes."""

    def __init__(self, model: AiATrack) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return tuple(self.model.encode(image, mask))


class Track(Encode):
    """A search frame against cached references, heads included."""

    def forward(self, image: Tensor, mask: Tensor, *cached: Tensor) -> tuple[Tensor, Tensor]:
        first = References(tuple_to(cached[0:2]), None, cached[2])
        recent = References(None, tuple_to(cached[3:5]), cached[5])
        features = self.model.decode(self.model.encode(image, mask), first, recent)
        box, _ = self.model.box_head(features)
        size = torch.cat([box[:, :2], box[:, 2:] - box[:, :2]], -1)
        return box, self.model.iou_head(features, size[:, None])


def tuple_to(pair: tuple[Tensor, ...]) -> KeyValue:
    """Key and value as the attention takes them."""
    return KeyValue(*pair)


@pytest.fixture
def track_arguments(tiny_model: AiATrack) -> tuple[Tensor, ...]:
    x = random_inputs(1)
    with torch.no_grad():
        reference = tiny_model.memorize(
            tiny_model.encode(x["references"][:, 0], x["reference_masks"][:, 0]),
            x["reference_boxes"][:, 0],
        )
    recent = concat_references([reference, reference])
    return (
        *(x["search"], x["search_mask"]),
        *(*reference.long, reference.inner_pos),
        *(*recent.short, recent.inner_pos),
    )


@pytest.mark.slow
@torch.no_grad()
def test_torch_export(tiny_model: AiATrack, track_arguments: tuple) -> None:
    for module, arguments in ((Encode, track_arguments[:2]), (Track, track_arguments)):
        wrapped = module(copy.deepcopy(tiny_model))
        exported = torch.export.export(wrapped, arguments, strict=False).module()
        for got, expected in zip(exported(*arguments), wrapped(*arguments), strict=True):
            assert torch.allclose(got, expected, atol=1e-5)


@pytest.mark.slow
@torch.no_grad()
def test_torch_compile_has_one_graph(tiny_model: AiATrack, track_arguments: tuple) -> None:
    """Traced whole, without a break; the backend is the plain one, which needs no compiler."""
    track = Track(tiny_model)
    compiled = torch.compile(track, fullgraph=True, backend="aot_eager")
    pairs = zip(compiled(*track_arguments), track(*track_arguments), strict=True)
    assert all(torch.allclose(got, expected, atol=1e-5) for got, expected in pairs)


def test_gradients_reach_everything_that_trains() -> None:
    torch.manual_seed(0)
    model = build_aiatrack(make_config(TINY)).train()
    prediction = model(**random_inputs(2))
    (prediction.box_xyxy.sum() + prediction.iou.sum()).backward()
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen and all(".body.conv1." in n or ".body.layer1." in n for n in frozen)
    assert {n for n, p in model.named_parameters() if p.grad is None} == frozen


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "test_efficientnet"])
def test_other_backbones(name: str) -> None:
    cfg = make_config({**TINY, "TRAIN": {"FREEZE_LAYERS": []}})
    cfg.MODEL.BACKBONE.TYPE = name
    model = build_aiatrack(cfg).eval()
    with torch.no_grad():
        assert model(**random_inputs(1)).box_xyxy.shape == (1, 4)


@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenetv3_small_050", "lcnet_035"])
@torch.no_grad()
def test_stages_after_stride_16_are_dropped(name: str) -> None:
    """EfficientNet-like networks of timm run them all; the features are the same without."""
    backbone = Backbone(name).eval()
    whole = timm.create_model(name, features_only=True).eval()
    count = sum(p.numel() for p in backbone.parameters())
    assert count < 0.6 * sum(p.numel() for p in whole.parameters())
    assert not whole.load_state_dict(backbone.body.state_dict(), strict=False).unexpected_keys
    image = torch.rand(1, 3, SIZE, SIZE)
    assert torch.equal(backbone(image), whole(image)[whole.feature_info.reduction().index(16)])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet5000", "not a timm model; similar names"),
        ("vit_small_patch32_224", r"has strides \[32.*; 16 is needed"),
    ],
)
def test_backbones_that_cannot_be_used(name: str, message: str) -> None:
    cfg = make_config(TINY)
    cfg.MODEL.BACKBONE.TYPE = name
    with pytest.raises(ValueError, match=message) as caught:
        build_aiatrack(cfg)
    assert name in str(caught.value)


def test_frozen_layers_by_patterns_of_their_names() -> None:
    cfg = make_config(TINY)
    cfg.TRAIN.FREEZE_LAYERS = ["layer1.*.conv1", "bn*"]
    parameters = dict(build_aiatrack(make_config(cfg)).backbone.named_parameters())
    frozen = {name for name, parameter in parameters.items() if not parameter.requires_grad}
    assert frozen == {name for name in parameters if "layer1." in name and ".conv1" in name}


def test_frozen_layer_that_is_not_there() -> None:
    cfg = make_config(TINY)
    cfg.TRAIN.FREEZE_LAYERS = ["layer9"]
    with pytest.raises(ValueError, match=r"TRAIN.FREEZE_LAYERS: .* no module 'layer9'; it has"):
        build_aiatrack(cfg)
