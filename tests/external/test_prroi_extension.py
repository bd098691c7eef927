"""Guards the compiled precise RoI pooling: the closed form's and the golden values and gradients.

On the CPU's loops and, where there is a GPU, on its kernels.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from lib.models.aiatrack.prroi_pool import prroi_pool as closed_form

pytestmark = pytest.mark.slow  # the operators are built first

GOLDEN = Path(__file__).parents[1] / "fixtures/golden_seed18.npz"

# In cells of a 9 x 13 map (height x width), one place for each rule.
BOXES = {
    "inside": [2.3, 1.1, 9.7, 7.4],
    "on the grid": [2.0, 3.0, 6.0, 7.0],
    "within one cell": [5.25, 6.5, 5.75, 6.9],
    "over the left and the bottom border": [-3.0, 5.5, 4.2, 11.9],
    "around the whole map": [-4.0, -2.5, 20.0, 12.0],
    "in the last half cell outside": [12.2, 8.1, 14.0, 11.0],
    "wholly outside": [15.0, 2.0, 18.0, 5.0],
    "no width": [4.0, 4.0, 4.0, 6.0],
    "inverted in x": [7.0, 2.0, 3.0, 6.0],
    "inverted in both": [7.0, 6.0, 3.0, 2.0],
}
NO_AREA = [i for i, name in enumerate(BOXES) if "no width" in name or "inverted" in name]


def make_case(device: str, dtype: torch.dtype, scale: float = 1.0) -> tuple[torch.Tensor, ...]:
    """features (2, 3, 9, 13), boxes (2, P, 4) before scaling, and weights (2, P, 3, 4, 4)."""
    generator = torch.Generator().manual_seed(7)
    features = torch.randn(2, 3, 9, 13, generator=generator, dtype=torch.float64)
    boxes = torch.tensor(list(BOXES.values()), dtype=torch.float64)
    boxes = torch.stack([boxes, boxes.flip(0)]) / scale  # another order in the second image
    weights = torch.randn(2, len(BOXES), 3, 4, 4, generator=generator, dtype=torch.float64)
    return tuple(tensor.to(device, dtype) for tensor in (features, boxes, weights))


def outputs_and_gradients(pool, features, boxes, weights, scale: float) -> list[torch.Tensor]:
    features, boxes = features.clone().requires_grad_(), boxes.clone().requires_grad_()
    output = pool(features, boxes, weights.shape[-1], scale)
    gradients = torch.autograd.grad((output * weights).sum(), (features, boxes))
    return [output.detach(), *gradients]


def assert_close(actual: list, expected: list, bound: float) -> None:
    """`bound` is relative to the largest value of each tensor."""
    for ours, theirs in zip(actual, expected, strict=True):
        error = (ours.double().cpu() - theirs.double().cpu()).abs().max() / theirs.abs().max().cpu()
        assert error <= bound, f"{error:.2e} in a tensor of shape {tuple(theirs.shape)}"


@pytest.mark.parametrize("scale", [1.0, 20.0])
@pytest.mark.parametrize(
    ("dtype", "bound"),
    # Double: rounding alone. Float: the closed form takes differences of primitives in double.
    [(torch.float64, 1e-12), (torch.float32, 1e-5)],
)
def test_agrees_with_closed_form(extension, device, dtype, bound, scale) -> None:
    features, boxes, weights = make_case(device, dtype, scale)
    exact = [tensor.double() for tensor in (features, boxes, weights)]
    expected = outputs_and_gradients(closed_form, *exact, scale)
    actual = outputs_and_gradients(extension.prroi_pool, features, boxes, weights, scale)
    assert all(tensor.dtype == dtype and tensor.device == features.device for tensor in actual)
    assert_close(actual, expected, bound)


def test_agrees_with_golden_values(extension, device) -> None:
    golden = {k: v for k, v in np.load(GOLDEN).items() if k.startswith("prroi/")}
    rois = golden["prroi/rois"]  # (6, 5): image, x1, y1, x2, y2; the same number in each image
    order = np.argsort(rois[:, 0], kind="stable")
    images = len(golden["prroi/features"])

    def by_image(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values[order].reshape(images, -1, *values.shape[1:])).to(device)

    actual = outputs_and_gradients(
        extension.prroi_pool,
        torch.from_numpy(golden["prroi/features"]).to(device),
        by_image(rois[:, 1:]),
        by_image(golden["prroi/weights"]),
        1.0,
    )
    expected = [
        by_image(golden["prroi/out"]),
        torch.from_numpy(golden["prroi/grad_features"]),
        by_image(golden["prroi/grad_rois"][:, 1:]),
    ]
    assert_close(actual, expected, 1e-5)


def test_box_without_area_gives_zeros_and_no_gradient(extension, device) -> None:
    features, boxes, weights = make_case(device, torch.float32)
    boxes[0, 0, 2] = float("nan")  # counts as such a box
    empty = [0, *NO_AREA]
    output, _, grad_boxes = outputs_and_gradients(
        extension.prroi_pool, features, boxes, weights, 1.0
    )
    assert output[0, empty].eq(0).all() and grad_boxes[0, empty].eq(0).all()
    assert output[0, 1].ne(0).all() and grad_boxes[0, 1].ne(0).all()
    # Alone in their image they leave the features without gradient.
    _, grad_features, _ = outputs_and_gradients(
        extension.prroi_pool, features, boxes[:, empty][[0, 0]], weights[:, empty], 1.0
    )
    assert grad_features.eq(0).all()


@pytest.mark.parametrize(
    ("size", "bounds"),
    # In cells. A gradient divides by the size, a mean does not, so it loses no digit.
    [(1e-2, (1e-6, 1e-6, 1e-4)), (1e-5, (1e-6, 1e-6, 0.1))],
)
def test_thin_box_keeps_its_digits(extension, device, size, bounds) -> None:
    features, _, weights = make_case(device, torch.float32)
    boxes = torch.tensor([7.25, 3.5, 7.25 + size, 3.5 + size], device=device).expand(2, 1, 4)
    case = features, boxes, weights[:, :1]
    expected = outputs_and_gradients(closed_form, *(tensor.double() for tensor in case), 1.0)
    actual = outputs_and_gradients(extension.prroi_pool, *case, 1.0)
    for ours, theirs, bound in zip(actual, expected, bounds, strict=True):
        assert_close([ours], [theirs], bound)


def test_thinnest_box_gives_the_value_there(extension, device) -> None:
    """One unit in the last place wide: most bins have no width left."""
    features, _, weights = make_case(device, torch.float32)
    low = torch.tensor([7.25, 3.5])
    boxes = torch.cat([low, torch.nextafter(low, low + 1)]).to(device).expand(2, 1, 4)
    output, *gradients = outputs_and_gradients(
        extension.prroi_pool, features, boxes, weights[:, :1], 1.0
    )
    between_rows = features[:, :, 3:5].mean(2)  # (2, 3, 13)
    here = 0.75 * between_rows[..., 7] + 0.25 * between_rows[..., 8]
    torch.testing.assert_close(output, here[:, None, :, None, None].expand_as(output))
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_bins_of_two_sizes(extension, device) -> None:
    """A bin's mean is that of its parts: 2 x 3 bins from 6 x 6."""
    features, boxes, _ = make_case(device, torch.float64)
    fine = extension.prroi_pool(features, boxes, 6)
    coarse = torch.ops.aiatrack.prroi_pool_forward(features, boxes, 2, 3, 1.0)
    parts = fine.unflatten(-2, (2, 3)).unflatten(-1, (3, 2)).mean((-3, -1))
    torch.testing.assert_close(coarse, parts)


def test_gradients_by_finite_differences(extension, device) -> None:
    features, boxes, _ = make_case(device, torch.float64, scale=0.5)
    features, boxes = features[:, :2, :5, :6].contiguous(), boxes[:, ::3].contiguous()
    assert torch.autograd.gradcheck(
        lambda f, b: torch.ops.aiatrack.prroi_pool_forward(f, b, 2, 3, 0.5),
        (features.requires_grad_(), boxes.requires_grad_()),
    )


def test_operators_keep_pytorch_rules(extension, device) -> None:
    """Schema, shapes for tracing and autograd registration of the three operators."""
    features, boxes, weights = make_case(device, torch.float32)
    ops = torch.ops.aiatrack
    output = ops.prroi_pool_forward(features, boxes, 4, 4, 1.0)
    leaves = features.clone().requires_grad_(), boxes.clone().requires_grad_()
    torch.library.opcheck(ops.prroi_pool_forward.default, (*leaves, 4, 4, 1.0))
    torch.library.opcheck(
        ops.prroi_pool_backward_features.default, (weights, boxes, 9, 13, 4, 4, 1.0)
    )
    torch.library.opcheck(
        ops.prroi_pool_backward_boxes.default, (weights, features, output, boxes, 4, 4, 1.0)
    )


def test_compiled_is_the_same(extension, device) -> None:
    case = make_case(device, torch.float32)
    pool = torch.compile(extension.prroi_pool, backend="aot_eager", fullgraph=True)
    plain = outputs_and_gradients(extension.prroi_pool, *case, 1.0)
    assert_close(outputs_and_gradients(pool, *case, 1.0), plain, 1e-12)


def test_strides_do_not_matter(extension, device) -> None:
    features, boxes, weights = make_case(device, torch.float32)
    plain = outputs_and_gradients(extension.prroi_pool, features, boxes, weights, 1.0)
    turned = features.to(memory_format=torch.channels_last), boxes.mT.contiguous().mT, weights
    assert not turned[0].is_contiguous() and not turned[1].is_contiguous()
    assert_close(outputs_and_gradients(extension.prroi_pool, *turned, 1.0), plain, 1e-12)


def test_no_boxes_and_no_images(extension, device) -> None:
    features, boxes, _ = make_case(device, torch.float32)
    for f, b in ((features, boxes[:, :0]), (features[:0], boxes[:0])):
        f, b = f.clone().requires_grad_(), b.clone().requires_grad_()
        output = extension.prroi_pool(f, b, 4)
        assert output.shape == (*b.shape[:2], 3, 4, 4)
        output.sum().backward()
        assert f.grad.shape == f.shape and f.grad.eq(0).all() and b.grad.shape == b.shape


def test_half_precision_is_pooled_in_float(extension, device) -> None:
    features, boxes, _ = make_case(device, torch.float32)
    features = features.bfloat16()
    with torch.autocast(device, dtype=torch.bfloat16):
        output = extension.prroi_pool(features, boxes, 4)
    assert output.dtype == torch.float32
    assert torch.equal(output, extension.prroi_pool(features.float(), boxes, 4))


def test_runs_repeat_bit_for_bit(extension, device) -> None:
    """Training size on a GPU: 15 images, 16 proposals each, 256 channels."""
    sizes = (15, 16, 256) if device == "cuda" else (2, 5, 8)
    images, proposals, channels = sizes
    generator = torch.Generator().manual_seed(3)
    corners = torch.rand(images, proposals, 2, 2, generator=generator).sort(-2).values
    case = (
        torch.randn(images, channels, 20, 20, generator=generator).to(device),
        corners.flatten(-2).to(device),
        torch.randn(images, proposals, channels, 4, 4, generator=generator).to(device),
    )
    first = outputs_and_gradients(extension.prroi_pool, *case, 20.0)
    again = outputs_and_gradients(extension.prroi_pool, *case, 20.0)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    exact = outputs_and_gradients(closed_form, *(tensor.double() for tensor in case), 20.0)
    assert_close(first, exact, 1e-4)
