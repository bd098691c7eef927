"""Guards the optimized network: the eager one's numbers, layer by layer and whole."""

import pytest
import torch
from torch import nn

from lib.config.aiatrack.config import make_config
from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.attention import AiAAttention
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.fast.factored import FactoredAiAAttention, optimize_network
from lib.models.aiatrack.fast.quantized import quantize_network
from lib.models.aiatrack.references import concat_references
from lib.models.aiatrack.weights import describe_recipe
from tests.conftest import TINY


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Give every weight, gain, bias and statistic a value that would be missed."""
    generator = torch.Generator().manual_seed(seed)
    for p in module.parameters():
        fan_in = p[0].numel() if p.ndim > 1 else 4
        p.data = torch.randn(p.shape, generator=generator) / fan_in**0.5
    for name, buffer in module.named_buffers():
        if name.endswith(("running_mean", "running_var", "weight", "bias")):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)


@pytest.mark.parametrize("frames", [1, 3])
@torch.no_grad()
def test_factored_attention(frames: int) -> None:
    plain = AiAAttention(32, heads=4, tokens=25, match_dim=12).eval()
    randomise(plain)
    fast = FactoredAiAAttention(plain)
    g = torch.Generator().manual_seed(1)
    query = torch.randn(2, 25, 32, generator=g)
    key, value = (torch.randn(2, 25 * frames, 32, generator=g) for _ in range(2))
    pos = torch.randn(2, 25 * frames, 12, generator=g)
    expected = plain(query, plain.project(key, value), pos)
    got = fast(query, fast.project(key, value), pos)
    assert torch.allclose(got, expected, atol=2e-5)
    without = AiAAttention(32, 4, tokens=25, match_dim=12, use_aia=False).eval()
    without.load_state_dict(plain.state_dict(), strict=False)
    difference = without(query, without.project(key, value), pos) - expected
    assert difference.abs().max() > 1e-2  # the inner attention does matter here


@pytest.mark.parametrize("common", [1, 10, 100])
@torch.no_grad()
def test_bf16_with_much_in_common_among_queries(common: int) -> None:
    """No further from the exact result than the eager attention in bf16; once it was NaN."""
    plain = AiAAttention(64, heads=2, tokens=100, match_dim=16).eval()
    randomise(plain)
    plain.in_proj_bias[:64] *= common
    fast = FactoredAiAAttention(plain)
    g = torch.Generator().manual_seed(1)
    query, key, value = (torch.randn(2, 100, 64, generator=g) for _ in range(3))
    pos = torch.randn(2, 100, 16, generator=g)
    exact = plain(query, plain.project(key, value), pos)
    assert (fast(query, fast.project(key, value), pos) - exact).abs().max() < 1e-6 * common + 1e-6
    query, key, value, pos = (x.bfloat16() for x in (query, key, value, pos))
    worst = []
    for attention in (plain.bfloat16(), fast.bfloat16()):
        worst.append((attention(query, attention.project(key, value), pos) - exact).abs().max())
    assert worst[1] < 1.2 * worst[0]


UNTRACED = "tf_efficientnet_b0"  # pads by the size of its input, in Python


@pytest.mark.parametrize("backbone", ["test_resnet", "mobilenetv3_small_050", UNTRACED])
@pytest.mark.parametrize("padded", [False, True])
@torch.no_grad()
def test_whole_network(backbone: str, padded: bool, caplog: pytest.LogCaptureFixture) -> None:
    cfg = make_config({**TINY, "TRAIN": {"FREEZE_LAYERS": []}})
    cfg.MODEL.BACKBONE.TYPE = backbone
    plain = build_aiatrack(cfg).eval()
    randomise(plain)
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    with caplog.at_level("WARNING"):
        fast = optimize_network(plain)
    assert ("cannot trace" in caplog.text) == (backbone == UNTRACED)
    if backbone == UNTRACED:
        with pytest.raises(ValueError, match=r"int8 needs a backbone that torch\.fx can trace"):
            quantize_network(fast, torch.rand(1, 3, 64, 64))
    g = torch.Generator().manual_seed(1)
    images, mask = torch.rand(2, 3, 64, 64, generator=g), torch.zeros(2, 64, 64, dtype=torch.bool)
    mask[:, 40:] = padded
    box = torch.tensor([[0.2, 0.3, 0.4, 0.3], [0.5, 0.1, 0.3, 0.6]])
    outcomes = []
    for model in (plain, fast):
        encoded = model.encode(images, mask)
        reference = model.memorize(encoded, box)
        features = model.decode(encoded, reference, concat_references([reference] * 3))
        outcomes.append((encoded.tokens, features, *model.box_head(features)))
        outcomes[-1] += (model.iou_head(features, box[:, None]),)
    for expected, got in zip(*outcomes, strict=True):
        scale = expected.abs().max()
        assert (got - expected).abs().max() < 1e-4 * scale
    assert all(torch.equal(value, before[name]) for name, value in plain.state_dict().items())


def test_without_aia(tiny_model: AiATrack) -> None:
    """A recipe without inner attention keeps its plain attention."""
    cfg = make_config(TINY)
    cfg.MODEL.AIA.USE_AIA = False
    fast = optimize_network(build_aiatrack(cfg))
    assert not any(isinstance(m, FactoredAiAAttention) for m in fast.modules())
    fast = optimize_network(tiny_model)
    assert sum(isinstance(m, FactoredAiAAttention) for m in fast.modules()) == 4


@pytest.mark.parametrize(
    ("where", "kinds"),
    [("self", ["self_attn"]), ("cross", ["long_term_attn", "short_term_attn"])],
)
def test_aia_in_one_kind_of_attention(where: str, kinds: list[str]) -> None:
    """The paper's ablation: inner attention in the encoder or in the decoder only."""
    cfg = make_config(TINY)
    cfg.MODEL.AIA.WHERE = where
    model = build_aiatrack(cfg)
    has = {name.split(".")[-2] for name, _ in model.named_modules() if name.endswith(".inner_attn")}
    assert sorted(has) == kinds
    assert describe_recipe(model.state_dict())["MODEL.AIA.WHERE"] == where
    fast = optimize_network(model)
    factored = {
        name.split(".")[-1]
        for name, module in fast.named_modules()
        if isinstance(module, FactoredAiAAttention)
    }
    assert sorted(factored) == kinds


def test_batch_norm_is_gone(tiny_model: AiATrack) -> None:
    fast = optimize_network(tiny_model)
    assert not any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in fast.modules())
