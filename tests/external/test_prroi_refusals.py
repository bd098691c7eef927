"""Guards the compiled pooling's refusals: wrong shapes, types and devices, and what it says."""

import pytest
import torch

pytestmark = pytest.mark.slow  # the operators are built first

F = torch.zeros(2, 3, 5, 6)
BOX = torch.tensor([0.0, 0.0, 2.0, 2.0]).expand(2, 1, 4)
VALUES = torch.zeros(2, 1, 3, 4, 4)
REFUSALS = {
    "features axes": (
        ("forward", F[0], BOX, 4, 4, 1.0),
        ValueError,
        r"features has shape \[3, 5, 6\]; allowed: 4 axes",
    ),
    "features type": (
        ("forward", F.half(), BOX.half(), 4, 4, 1.0),
        TypeError,
        r"features is Half; allowed: Float \(32 bits\), Double \(64 bits\)",
    ),
    "boxes type": (
        ("forward", F, BOX.double(), 4, 4, 1.0),
        TypeError,
        "boxes is Double, the first argument Float; allowed: the same type",
    ),
    "boxes axes": (
        ("forward", F, BOX[:, 0], 4, 4, 1.0),
        ValueError,
        r"boxes has shape \[2, 4\]; allowed: 3 axes",
    ),
    "boxes with image index": (
        ("forward", F, torch.zeros(2, 1, 5), 4, 4, 1.0),
        ValueError,
        r"boxes have shape \[2, 1, 5\]; allowed: \(2, P, 4\)",
    ),
    "boxes of another batch": (
        ("forward", F, BOX[:1], 4, 4, 1.0),
        ValueError,
        r"boxes have shape \[1, 1, 4\]; allowed: \(2, P, 4\)",
    ),
    "no bins": (
        ("forward", F, BOX, 0, 4, 1.0),
        ValueError,
        "pooled_height is 0; allowed: 1 to 2147483647",
    ),
    "no scale": (
        ("forward", F, BOX, 4, 4, 0.0),
        ValueError,
        "spatial_scale is 0; allowed: a finite number > 0",
    ),
    "infinite scale": (
        ("forward", F, BOX, 4, 4, float("inf")),
        ValueError,
        "spatial_scale is inf; allowed: a finite number > 0",
    ),
    "grad of other bins": (
        ("backward_features", VALUES, BOX, 5, 6, 3, 4, 1.0),
        ValueError,
        r"grad has shape \[2, 1, 3, 4, 4\]; allowed: .* = \[2, 1, 3, 3, 4\]",
    ),
    "negative height": (
        ("backward_features", VALUES, BOX, -5, 6, 4, 4, 1.0),
        ValueError,
        "height of the feature map is -5; allowed: 0 to 2147483647",
    ),
    "output of other channels": (
        ("backward_boxes", VALUES, F, VALUES[:, :, :2], BOX, 4, 4, 1.0),
        ValueError,
        r"output has shape \[2, 1, 2, 4, 4\]; allowed: .* = \[2, 1, 3, 4, 4\]",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), REFUSALS.values(), ids=REFUSALS)
def test_refuses(extension, call, error, message) -> None:
    name, *arguments = call
    with pytest.raises(error, match=f"prroi_pool_{name}: {message}"):
        getattr(torch.ops.aiatrack, f"prroi_pool_{name}")(*arguments)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here, so no second device")
def test_refuses_two_devices(extension) -> None:
    with pytest.raises(ValueError, match=r"boxes is on cpu, the first argument on cuda:0"):
        torch.ops.aiatrack.prroi_pool_forward(F.cuda(), BOX, 4, 4, 1.0)


def test_refuses_second_derivative(extension) -> None:
    features, boxes = F.clone().requires_grad_(), BOX.clone().requires_grad_()
    output = extension.prroi_pool(features, boxes, 4)
    (gradient,) = torch.autograd.grad(output.square().sum(), boxes, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        gradient.sum().backward()
