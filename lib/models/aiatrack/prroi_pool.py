"""Precise RoI pooling: the exact integral of the bilinear interpolant over each bin, over the bin's
area.

Source: IoU-Net (Jiang et al. 2018), section 3.3; spec section 2. The interpolant is a sum of tent
functions, so the integral over a bin factorises into W_y F W_x^T, where W[p, i] integrates the tent
of cell i over bin p. That closed form needs nothing compiled, runs on every device, and gives exact
gradients in features and boxes.
"""

import torch
from torch import Tensor


def prroi_pool(features: Tensor, box_xyxy: Tensor, size: int, scale: float = 1.0) -> Tensor:
    """Pool each box into size x size bins.

    Args:
        features: (B, C, H, W); cell i lies at coordinate i, and the map is 0 outside.
        box_xyxy: (B, P, 4).
        size: bins per axis.
        scale: multiplies the boxes to give cells.

    Returns:
        (B, P, C, size, size) float32 (float64 for float64 features). A box with x2 <= x1 or y2 <=
        y1 gives zeros.
    """
    dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
    with torch.autocast(features.device.type, enabled=False):
        features = features.to(dtype)
        x1, y1, x2, y2 = (box_xyxy.to(dtype) * scale).unbind(-1)  # (B, P) each
        weight_x = _bin_weights(x1, x2, size, features.shape[3])  # (B, P, size, W)
        weight_y = _bin_weights(y1, y2, size, features.shape[2])  # (B, P, size, H)
        along_x = features[:, None] @ weight_x.transpose(-2, -1)[:, :, None]  # (B, P, C, H, size)
        return weight_y[:, :, None] @ along_x  # (B, P, C, size, size)


def _bin_weights(start: Tensor, end: Tensor, bins: int, cells: int) -> Tensor:
    """Mean of every cell's tent function over every bin of [start, end].

    Args:
        start, end: (B, P) in cells.

    Returns:
        (B, P, bins, cells); zeros where end <= start.
    """
    valid = (end > start)[..., None, None]
    bin_size = (end - start)[..., None] / bins  # (B, P, 1)
    steps = torch.arange(bins + 1, dtype=start.dtype, device=start.device)
    edges = start[..., None] + bin_size * steps  # (B, P, bins + 1)
    cell = torch.arange(cells, dtype=start.dtype, device=start.device)
    primitive = _tent_integral(edges[..., None] - cell)  # (B, P, bins + 1, cells)
    integral = primitive[..., 1:, :] - primitive[..., :-1, :]
    # The division is made safe before it happens, so that masked boxes get zero gradients, not NaN.
    return torch.where(valid, integral / torch.where(valid, bin_size[..., None], 1.0), 0.0)


def _tent_integral(t: Tensor) -> Tensor:
    """Integral of max(0, 1 - |s|) from -infinity to t."""
    t = t.clamp(-1, 1)
    return 0.5 + t - 0.5 * t * t.abs()
