"""3x3 convolutions with a quarter of the multiplications, for CPUs in fp32.

Source: Lavin and Gray 2016, F(4x4, 3x3): tiles of 6 x 6 inputs give 4 x 4 outputs, and between two
linear transforms the convolution is 36 matrix products. The points of interpolation are those that
Barabasz et al. 2020 found to round least; the result is as near to the exact one as the direct
kernel's, within a factor of 2.
"""

from typing import TypeGuard

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.aiatrack.fast.factored import buffer

OUT, KERNEL = 4, 3
TILE = OUT + KERNEL - 1
POINTS = np.array([0, 1, -1, 0.5, -2])  # and infinity
# With fewer, transforms cost what products save, or reading the weights does, four times as many.
MIN_CHANNELS = 128  # of the input
MIN_TILES = 20  # of the whole batch


class WinogradConv2d(nn.Module):
    """A 3x3 convolution of stride 1 and padding 1, with bias, then a ReLU where one follows."""

    def __init__(self, conv: nn.Conv2d, direct: nn.Module, *, relu: bool = False) -> None:
        """Take a convolution that suits, and direct: what computes small maps, ReLU included."""
        super().__init__()
        _, data, result = _transforms()
        bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias
        self.conv_weight = conv.weight
        self.weight: Tensor | None = None  # four times as large: made when it is used
        self.bias = buffer(bias.float())
        self.data = buffer(torch.kron(data, data).float())  # (36, 36)
        self.result = buffer(torch.kron(result, result).float())  # (16, 36)
        self.relu, self.direct = relu, direct

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H, W), channels last."""
        batch, channels, height, width = x.shape
        rows, columns = -(-height // OUT), -(-width // OUT)
        if batch * rows * columns < MIN_TILES:
            return self.direct(x)
        if self.weight is None:
            self.weight = _transform_kernel(self.conv_weight)
        below, right = rows * OUT - height, columns * OUT - width
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, right + 1, 1, below + 1))
        tiles = padded.unfold(1, TILE, OUT).unfold(2, TILE, OUT)  # (B, rows, columns, C_in, 6, 6)
        tiles = tiles.permute(0, 1, 2, 4, 5, 3).reshape(-1, TILE**2, channels)
        products = (self.data @ tiles).transpose(0, 1) @ self.weight  # (36, tiles, C_out)
        y = self.result @ products.flatten(1)  # (16, tiles * C_out)
        y = y.view(OUT, OUT, batch, rows, columns, -1).permute(2, 3, 0, 4, 1, 5)
        out = x.new_empty(y.shape)
        torch.add(y, self.bias, out=out)  # one pass puts the pixels in order as well
        if self.relu:
            out.relu_()
        out = out.view(batch, rows * OUT, columns * OUT, -1)
        return out[:, :height, :width].permute(0, 3, 1, 2)


def suits_winograd(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether a module is a convolution that `WinogradConv2d` computes, and faster."""
    return (
        type(module) is nn.Conv2d
        and module.kernel_size == (KERNEL, KERNEL)
        and module.stride == module.dilation == (1, 1)
        and module.padding == (1, 1)
        and module.padding_mode == "zeros"
        and module.groups == 1
        and module.in_channels >= MIN_CHANNELS
    )


def _transform_kernel(weight: Tensor) -> Tensor:
    """(C_out, C_in, 3, 3) -> (36, C_in, C_out)."""
    kernel, _, _ = _transforms()
    transformed = torch.einsum("ij,ocjk,lk->ilco", kernel, weight.double(), kernel)
    return transformed.flatten(0, 1).float().contiguous()


def _transforms() -> tuple[Tensor, Tensor, Tensor]:
    """Matrices of kernel (6, 3), data (6, 6) and result (4, 6), float64, by Toom and Cook.

    Row i belongs to point i, the last to infinity. The kernel is evaluated at the points, divided
    by Lagrange's denominators; the data are weighted with Lagrange's numerators, polynomials whose
    coefficients `np.poly` gives from their roots, the constant last. All but quotients is exact.
    """
    others = [np.delete(POINTS, i) for i in range(len(POINTS))]
    denominators = [np.prod(point - roots) for point, roots in zip(POINTS, others, strict=True)]
    kernel = np.vander(POINTS, KERNEL, increasing=True) / np.array(denominators)[:, None]
    kernel = np.vstack([kernel, np.eye(KERNEL)[-1]])
    data = [[*np.poly(roots)[::-1], 0] for roots in others] + [np.poly(POINTS)[::-1]]
    result = np.hstack([np.vander(POINTS, OUT, increasing=True).T, np.eye(OUT)[:, -1:]])
    return torch.from_numpy(kernel), torch.from_numpy(np.vstack(data)), torch.from_numpy(result)
