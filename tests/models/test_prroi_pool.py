"""Guards RoI pooling in closed form: the reference's figures, exact gradients, odd boxes."""

import numpy as np
import pytest
import torch
from torch import Tensor

from lib.models.aiatrack.prroi_pool import Pooling, prroi_pool, prroi_pool_in_one_product


def pool_rois(features: Tensor, rois: Tensor, size: int, pool: Pooling = prroi_pool) -> Tensor:
    """Pool (K, 5) boxes that name their image first, as the fixture has them."""
    images = rois[:, 0].long()
    return pool(features[images], rois[:, None, 1:], size)[:, 0]


@pytest.mark.parametrize("pool", [prroi_pool, prroi_pool_in_one_product])
def test_matches_the_reference(golden: dict, pool: Pooling) -> None:
    features = torch.from_numpy(golden["prroi/features"]).requires_grad_()
    rois = torch.from_numpy(golden["prroi/rois"]).requires_grad_()
    out = pool_rois(features, rois, 4, pool)
    (out * torch.from_numpy(golden["prroi/weights"])).sum().backward()
    for got, key in (
        (out.detach(), "out"),
        (features.grad, "grad_features"),
        (rois.grad, "grad_rois"),
    ):
        expected = golden[f"prroi/{key}"]
        atol = 1e-5 * abs(expected).max()
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4, atol=atol, err_msg=key)


def test_in_one_product() -> None:
    """Several images and boxes, maps in either order of memory, boxes partly or wholly outside."""
    draw = torch.Generator().manual_seed(2)
    features = torch.randn(2, 3, 5, 7, generator=draw, dtype=torch.float64)
    corners = torch.rand(2, 4, 2, generator=draw, dtype=torch.float64) * 1.4 - 0.2
    boxes = torch.cat([corners, corners + torch.randn(2, 4, 2, generator=draw) / 2], -1)
    expected = prroi_pool(features, boxes, 3, 6.0)
    assert 0 < (expected == 0).all(-1).all(-1).all(-1).sum() < 8  # inverted boxes, and others
    for layout in (torch.contiguous_format, torch.channels_last):
        got = prroi_pool_in_one_product(features.contiguous(memory_format=layout), boxes, 3, 6.0)
        torch.testing.assert_close(got, expected, atol=1e-13, rtol=0)
    low = prroi_pool_in_one_product(features.bfloat16(), boxes.float(), 3, 6.0)
    assert low.dtype == torch.float32 and torch.allclose(low.double(), expected, atol=0.02)


def test_gradients_are_exact() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 2, 5, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    # Coordinates away from the tents' corners, partly outside the map, one box inverted.
    boxes = torch.tensor(
        [
            [[0.3, 0.7, 3.4, 4.2], [-1.3, 2.2, 2.6, 6.1]],
            [[1.6, 1.4, 1.9, 1.8], [4.2, 1.3, 2.2, 3.1]],
        ],
        dtype=torch.float64,
        requires_grad=True,
    )
    assert torch.autograd.gradcheck(lambda f, b: prroi_pool(f, b, 3, 1.0), (features, boxes))


def test_constant_map_and_scale() -> None:
    features = torch.full((1, 1, 8, 8), 3.0)
    inside = torch.tensor([[[0.25, 0.25, 0.75, 0.75]]])
    assert torch.allclose(prroi_pool(features, inside, 4, 8.0), torch.full((1, 1, 1, 4, 4), 3.0))
    outside = torch.tensor([[[2.0, 2.0, 3.0, 3.0]]])
    assert prroi_pool(features, outside, 4, 8.0).abs().max() == 0


def test_against_numerical_integration() -> None:
    """The mean of the bilinear interpolant over a fine grid of points of each bin."""
    features = torch.randn(1, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    x1, y1, x2, y2, bins, fine = 0.4, 1.1, 3.7, 4.5, 2, 400
    points = (torch.arange(bins * fine) + 0.5) / (bins * fine)
    cells = torch.arange(6)
    tent_x = (1 - (x1 + points[:, None] * (x2 - x1) - cells).abs()).clamp(min=0)
    tent_y = (1 - (y1 + points[:, None] * (y2 - y1) - cells).abs()).clamp(min=0)
    samples = tent_y @ features[0, 0] @ tent_x.T
    expected = samples.unflatten(0, (bins, fine)).unflatten(2, (bins, fine)).mean((1, 3))
    got = prroi_pool(features, torch.tensor([[[x1, y1, x2, y2]]]), bins)[0, 0, 0]
    assert torch.allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize(
    "box", [[3.0, 1, 1, 3], [1.0, 3, 3, 1], [2.0, 2, 2, 4], [3.0, 3, 1, 1]], ids=str
)
def test_degenerate_boxes_give_zeros_and_no_gradient(box: list) -> None:
    features = torch.rand(1, 2, 5, 5, requires_grad=True)
    boxes = torch.tensor([[box]], requires_grad=True)
    out = prroi_pool(features, boxes, 4)
    out.sum().backward()
    assert out.abs().max() == 0
    assert boxes.grad.abs().max() == 0 and features.grad.abs().max() == 0


def test_autocast_does_not_round_it() -> None:
    features, boxes = torch.rand(1, 2, 6, 6), torch.tensor([[[0.5, 0.5, 4.5, 3.5]]])
    expected = prroi_pool(features, boxes, 4)
    with torch.autocast("cpu", torch.bfloat16):
        got = prroi_pool(features, boxes, 4)
    assert got.dtype == torch.float32 and torch.equal(got, expected)


@pytest.mark.parametrize("side", [0.1, 0.01, 0.001])
def test_thin_boxes_keep_their_digits(side: float) -> None:
    features = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    box = torch.tensor([[[7.3, 9.6, 7.3 + side, 9.6 + side]]])
    exact = prroi_pool(features.double(), box.double(), 4)
    assert torch.allclose(prroi_pool(features, box, 4).double(), exact, atol=1e-5)
