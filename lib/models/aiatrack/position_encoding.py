"""DETR's normalised 2-D sine encoding of the unpadded cells.

Source: docs/method.md, section 2. The network uses it twice: with C/2 features per axis (outer)
and D/2 (inner).
"""

import math

import torch
from torch import Tensor, nn


class PositionEncodings(nn.Module):
    """The two encodings of the network; a module without parameters."""

    def __init__(self, dim: int, match_dim: int) -> None:
        """Take dim: C, match_dim: D."""
        super().__init__()
        self.dim, self.match_dim = dim, match_dim

    def forward(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W) bool, True on padding -> outer (B, N, C) and inner (B, N, D)."""
        outer = sine_position_encoding(mask, self.dim // 2)
        return outer, sine_position_encoding(mask, self.match_dim // 2)

    def unpadded(self, count: int, grid: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """As `forward`, of `count` crops of grid x grid cells without padding."""
        return self(torch.zeros(count, grid, grid, dtype=torch.bool, device=device))


def sine_position_encoding(
    mask: Tensor, features_per_axis: int, temperature: float = 10000.0
) -> Tensor:
    """Encode where each cell lies among the unpadded ones.

    Args:
        mask: (B, H, W) bool, True on padding.
        features_per_axis: F, even.

    Returns:
        (B, H*W, 2F) float32, tokens row-major, the y features first.
    """
    inside = ~mask
    y = inside.cumsum(1, dtype=torch.float32)  # (B, H, W), 1-based count of unpadded cells so far
    x = inside.cumsum(2, dtype=torch.float32)
    y = y / (y[:, -1:, :] + 1e-6) * (2 * math.pi)
    x = x / (x[:, :, -1:] + 1e-6) * (2 * math.pi)
    pair = torch.arange(features_per_axis // 2, dtype=torch.float32, device=mask.device)
    wavelength = temperature ** (2 * pair / features_per_axis)
    return torch.cat([_sine_cosine(y, wavelength), _sine_cosine(x, wavelength)], -1).flatten(1, 2)


def _sine_cosine(angle: Tensor, wavelength: Tensor) -> Tensor:
    """(B, H, W), (F/2,) -> (B, H, W, F) with sine and cosine alternating."""
    phase = angle[..., None] / wavelength
    return torch.stack([phase.sin(), phase.cos()], -1).flatten(-2)
