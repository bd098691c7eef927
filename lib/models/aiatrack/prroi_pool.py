"""Precise RoI pooling: the exact mean of the bilinear interpolant over each bin.

Source: IoU-Net (Jiang et al. 2018), section 3.3; docs/method.md, section 2. The interpolant is a
sum of tent functions, so the integral over a bin factorises into W_y F W_x^T, where W[p, i]
integrates the tent of cell i over bin p. That closed form needs nothing compiled, runs on every
device, and gives exact gradients in features and boxes.
"""

import functools
import importlib.util
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.utils.paths import PROJECT_ROOT

Pooling = Callable[[Tensor, Tensor, int, float], Tensor]

EXTENSION = PROJECT_ROOT / "external" / "PreciseRoIPooling" / "prroi_pool_extension.py"


def prroi_pool(features: Tensor, box_xyxy: Tensor, size: int, scale: float = 1.0) -> Tensor:
    """Pool each box into size x size bins.

    Args:
        features: (B, C, H, W); cell i lies at coordinate i, and the map is 0 outside.
        box_xyxy: (B, P, 4).
        size: bins per axis.
        scale: multiplies the boxes to give cells.

    Returns:
        (B, P, C, size, size) float32 (float64 for float64 features); zeros where a box has
        x2 <= x1 or y2 <= y1.
    """
    dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
    with torch.autocast(features.device.type, enabled=False):
        features = features.to(dtype)
        x1, y1, x2, y2 = (box_xyxy.to(dtype) * scale).unbind(-1)  # (B, P) each
        weight_y = _bin_weights(y1, y2, size, features.shape[2])
        weight_x = _bin_weights(x1, x2, size, features.shape[3])
        along_x = features[:, None] @ weight_x.transpose(-2, -1)[:, :, None]  # (B, P, C, H, size)
        return weight_y[:, :, None] @ along_x  # (B, P, C, size, size)


def prroi_pool_in_one_product(
    features: Tensor, box_xyxy: Tensor, size: int, scale: float = 1.0
) -> Tensor:
    """Pool as `prroi_pool` does, up to rounding, several times faster on a CPU.

    For tracking: training keeps the other order of sums, and with it losses that are on record. The
    weights of rows and columns are made together, without those that would follow where a map is
    not square.
    """
    dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
    features, height, width = features.to(dtype), *features.shape[2:]
    start, end = (box_xyxy.to(dtype) * scale).unflatten(-1, (2, 2)).unbind(-2)  # (B, P, 2)
    weights = _bin_weights(start, end, size, max(height, width))  # (B, P, 2, size, cells)
    weight_x, weight_y = weights[..., 0, :, :width], weights[..., 1, :, :height]
    # A bin's weights of all cells are those of its row times those of its column.
    weight = weight_y[..., :, None, :, None] * weight_x[..., None, :, None, :]
    weight = weight.flatten(-2).flatten(1, 3)  # (B, P * size * size, H * W)
    pooled = weight @ features.flatten(2).transpose(1, 2)  # (B, P * size * size, C)
    return pooled.unflatten(1, (-1, size, size)).permute(0, 1, 4, 2, 3)


@functools.cache
def load_cuda_pooling() -> Pooling:
    """Load the kernels of external/PreciseRoIPooling, which compute what `prroi_pool` does.

    Raises:
        RuntimeError: not built, or built for another torch; nothing is compiled here.
    """
    spec = importlib.util.spec_from_file_location("prroi_pool_extension", EXTENSION)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{EXTENSION} cannot be imported")
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    if not extension.load_extension():
        raise RuntimeError(
            "the CUDA pooling is not built, or not for this torch; build it with "
            "`bash install.sh --cuda`, or use the closed form, which needs nothing built"
        )
    return extension.prroi_pool


def _bin_weights(start: Tensor, end: Tensor, bins: int, cells: int) -> Tensor:
    """Mean of every cell's tent function over every bin of [start, end].

    Sums are multiplied by differences, which keeps the digits of thin boxes; a difference of
    primitives would not. Takes (...) starts and ends in cells, and gives
    (..., bins, cells), zeros where end <= start.
    """
    # Edges of bins, from each tent's middle.
    fractions = torch.linspace(0, 1, bins + 1, dtype=start.dtype, device=start.device)
    edges = torch.addcmul(start[..., None], (end - start)[..., None], fractions)  # (..., bins + 1)
    cell = torch.arange(cells, dtype=start.dtype, device=start.device)
    offset = edges[..., None] - cell  # (..., bins + 1, cells)
    # A tent's area from low to high, clamped: high - low - (high |high| - low |low|) / 2, where the
    # last difference is half a sum of products of differences and sums.
    clamped = offset.clamp(-1, 1)
    height = clamped.abs()  # whose gradient is 0 at the middle, where the halves meet
    rise, total = _difference(clamped), clamped[..., 1:, :] + clamped[..., :-1, :]
    fall, heights = _difference(height), height[..., 1:, :] + height[..., :-1, :]
    products = torch.addcmul(rise * heights, fall, total)
    area = torch.sub(rise, products, alpha=0.25)
    # The division is made safe before it happens, so that masked boxes get zero gradients, not NaN.
    width = _difference(offset)
    return (area / F.threshold(width, 0, 1)).masked_fill_(width <= 0, 0)


def _difference(edges: Tensor) -> Tensor:
    """(..., bins + 1, cells) -> (..., bins, cells)."""
    return edges[..., 1:, :] - edges[..., :-1, :]
