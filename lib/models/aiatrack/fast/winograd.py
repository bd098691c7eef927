"""3x3 convolutions with a quarter of the multiplications, for CPUs in fp32.

Source: Lavin and Gray 2016, F(4x4, 3x3): tiles of 6 x 6 inputs give 4 x 4 outputs, and between two
linear transforms the convolution is 36 matrix products. The points of interpolation are those that
Barabasz et al. 2020 found to round least; the result is as near to the exact one as the direct
kernel's, within a factor of 2.
"""

from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

OUT, KERNEL = 4, 3
TILE = OUT + KERNEL - 1
POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2))  # and infinity
# With fewer, transforms cost what products save, or reading the weights does, four times as many.
FEWEST_CHANNELS = 128  # of the input
FEWEST_TILES = 20  # of the whole batch


class WinogradConv2d(nn.Module):
    """A 3x3 convolution of stride 1 and padding 1, with bias, then a ReLU where one follows."""

    def __init__(self, plain: nn.Conv2d, direct: nn.Module, *, relu: bool = False) -> None:
        """Take the weights of a convolution that `fits` accepts.

        Args:
            direct: what computes small maps, ReLU included.
        """
        super().__init__()
        kernel, data, result = _transforms()
        weight = torch.einsum("ij,ocjk,lk->ilco", kernel, plain.weight.double(), kernel)
        bias = torch.zeros(plain.out_channels) if plain.bias is None else plain.bias
        buffers = {
            "weight": weight.flatten(0, 1),  # (36, C_in, C_out)
            "bias": bias,
            "data": torch.kron(data, data),  # (36, 36)
            "result": torch.kron(result, result),  # (16, 36)
        }
        for name, value in buffers.items():
            value = value.detach().float().contiguous()
            self.register_buffer(name, value, persistent=False)
        self.relu = relu
        self.direct = direct

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H, W), channels last."""
        batch, channels, height, width = x.shape
        rows, columns = -(-height // OUT), -(-width // OUT)
        if batch * rows * columns < FEWEST_TILES:
            return self.direct(x)
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


def fits(module: nn.Module) -> bool:
    """Whether a module is a convolution that `WinogradConv2d` computes, and faster."""
    return (
        type(module) is nn.Conv2d
        and module.kernel_size == (KERNEL, KERNEL)
        and module.stride == module.dilation == (1, 1)
        and module.padding == (1, 1)
        and module.padding_mode == "zeros"
        and module.groups == 1
        and module.in_channels >= FEWEST_CHANNELS
    )


def _transforms() -> tuple[Tensor, Tensor, Tensor]:
    """Matrices of kernel (6, 3), data (6, 6) and result (4, 6), float64, by Toom and Cook.

    Row i belongs to point i, the last to infinity. The kernel is evaluated at the points, divided
    by Lagrange's denominators; the data are weighed with Lagrange's numerators.
    """
    kernel, data = [], []
    for point in POINTS:
        others = [p for p in POINTS if p != point]
        denominator = Fraction(1)
        for other in others:
            denominator *= point - other
        kernel.append([point**k / denominator for k in range(KERNEL)])
        data.append([*_polynomial(others), Fraction(0)])
    kernel.append([Fraction(0)] * (KERNEL - 1) + [Fraction(1)])
    data.append(_polynomial(POINTS))
    result = [[*(p**k for p in POINTS), Fraction(k == OUT - 1)] for k in range(OUT)]
    as_tensor = [[[float(v) for v in row] for row in matrix] for matrix in (kernel, data, result)]
    kernel, data, result = (torch.tensor(m, dtype=torch.float64) for m in as_tensor)
    return kernel, data, result


def _polynomial(roots: tuple[Fraction, ...] | list[Fraction]) -> list[Fraction]:
    """Coefficients, the constant first, of the monic polynomial with these roots."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        scaled = [*(-root * c for c in coefficients), Fraction(0)]
        coefficients = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients
