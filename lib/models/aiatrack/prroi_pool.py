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
    with torch.autocast(features.device.type, enabled=False):
        features, weight_y, weight_x = _factors(features, box_xyxy, size, scale)
        along_x = features[:, None] @ weight_x.transpose(-2, -1)[:, :, None]  # (B, P, C, H, size)
        return weight_y[:, :, None] @ along_x  # (B, P, C, size, size)


def prroi_pool_in_one_product(
    features: Tensor, box_xyxy: Tensor, size: int, scale: float = 1.0
) -> Tensor:
    """Pool as `prroi_pool` does, up to rounding, several times faster on a CPU.

    For tracking: training keeps the other order of sums, and with it losses that are on record.
    """
    with torch.autocast(features.device.type, enabled=False):
        features, weight_y, weight_x = _factors(features, box_xyxy, size, scale)
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


def _factors(
    features: Tensor, box_xyxy: Tensor, size: int, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Features of the type to compute in; weights (B, P, size, H) of rows, (B, P, size, W)."""
    dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
    x1, y1, x2, y2 = (box_xyxy.to(dtype) * scale).unbind(-1)  # (B, P) each
    height, width = features.shape[2:]
    return features.to(dtype), _bin_weights(y1, y2, size, height), _bin_weights(x1, x2, size, width)


def _bin_weights(start: Tensor, end: Tensor, bins: int, cells: int) -> Tensor:
    """Mean of every cell's tent function over every bin of [start, end].

    Each straight half of a tent is integrated by its middle value, which keeps its digits for thin
    boxes; a difference of primitives would not. Takes (B, P) starts and ends in cells, and gives
    (B, P, bins, cells), zeros where end <= start.
    """
    valid = (end > start)[..., None, None]
    steps = torch.arange(bins + 1, dtype=start.dtype, device=start.device)
    edges = start[..., None] + (end - start)[..., None] / bins * steps  # (B, P, bins + 1)
    cell = torch.arange(cells, dtype=start.dtype, device=start.device)
    low = edges[..., :-1, None] - cell  # (B, P, bins, cells), from the tent's middle
    high = edges[..., 1:, None] - cell
    # minimum and maximum share the gradient of a tie, so that the halves meet smoothly at 0.
    zero = torch.zeros_like(low)
    rise_low, rise_high = (torch.minimum(t.clamp(min=-1), zero) for t in (low, high))
    fall_low, fall_high = (torch.maximum(t.clamp(max=1), zero) for t in (low, high))
    rising = (rise_high - rise_low) * (1 + (rise_low + rise_high) / 2)
    falling = (fall_high - fall_low) * (1 - (fall_low + fall_high) / 2)
    # The division is made safe before it happens, so that masked boxes get zero gradients, not NaN.
    width = high - low
    safe = torch.where(valid & (width > 0), width, 1.0)
    return torch.where(valid, (rising + falling) / safe, 0.0)
