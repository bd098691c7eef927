"""Corner head (search features -> box) and IoU head (features, boxes -> predicted IoU).

Source: STARK's corner head and ATOM's IoU head as the paper uses them; docs/method.md, section 2.
B targets, P proposals, C width, H = W grid, S crop side in pixels.
"""

import torch
from torch import Tensor, nn

from lib.models.aiatrack.prroi_pool import Pooling, prroi_pool
from lib.utils.box_ops import xywh_to_xyxy


def conv_bn_relu(inputs: int, outputs: int) -> nn.Sequential:
    """3x3 convolution with bias, batch norm, ReLU."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def expected_positions(scores: Tensor) -> Tensor:
    """(B, M, H, W) logits -> (B, M, 2) expected x, y in fractions of the crop; cell i at i / W."""
    height, width = scores.shape[2:]
    probability = scores.float().flatten(2).softmax(-1).unflatten(-1, (height, width))
    rows = torch.arange(height, device=scores.device)
    columns = torch.arange(width, device=scores.device)
    x = (probability.sum(2) * columns).sum(-1) / width
    y = (probability.sum(3) * rows).sum(-1) / height
    return torch.stack([x, y], -1)


def squared_positions(grid: int) -> Tensor:
    """(grid^2, 2) x^2 and y^2 of the cells of a map, in fractions of the crop, row by row."""
    where = (torch.arange(grid) / grid).square()
    return torch.stack([where.repeat(grid), where.repeat_interleave(grid)], -1)


def sharpness(scores: Tensor, box_xyxy: Tensor, squares: Tensor) -> Tensor:
    """How surely the corners are placed: 1 less the share of the box's sides that they spread over.

    Args:
        scores: (B, 2, H, W) logits of the corners.
        box_xyxy: (B, 4) their expected positions, in fractions of the crop.
        squares: (H*W, 2), of `squared_positions`.

    Returns:
        (B, 1) in [0, 1]: along each axis the corners' standard deviations are added and divided by
        the side, and the two axes averaged. A box without a side has 0.
    """
    corners = box_xyxy.unflatten(1, (2, 2))  # (B, corner, axis)
    expected_squares = scores.float().flatten(2).softmax(-1) @ squares
    deviation = (expected_squares - corners.square()).clamp(min=0).sqrt().sum(1)  # (B, axis)
    sides = (corners[:, 1] - corners[:, 0]).clamp(min=1e-6)
    return (1 - (deviation / sides).mean(1, keepdim=True)).clamp(min=0)


class CornerHead(nn.Module):
    """One score map per corner; the box is their expected positions."""

    def __init__(self, dim: int) -> None:
        """Take dim: C."""
        super().__init__()
        self.expectation = expected_positions
        widths = [dim, dim, dim // 2, dim // 4, dim // 8]
        for corner in ("tl", "br"):  # top left, bottom right
            for i in range(4):
                self.add_module(f"conv{i + 1}_{corner}", conv_bn_relu(widths[i], widths[i + 1]))
            self.add_module(f"conv5_{corner}", nn.Conv2d(widths[4], 1, 1))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Find one box in each row of features.

        Args:
            features: (B, C, H, W).

        Returns:
            (B, 4) float32 xyxy in fractions of the crop, where x2 < x1 can occur: the expected
            positions of (B, 2, H, W) float32 logits of the top left and bottom right corner.
        """
        scores = torch.stack([self.score_map(features, c) for c in ("tl", "br")], 1).float()
        return self.expectation(scores).flatten(1), scores

    def score_map(self, features: Tensor, corner: str) -> Tensor:
        """(B, C, H, W) -> (B, H, W) logits of the "tl" or "br" corner."""
        for i in range(1, 6):
            features = self.get_submodule(f"conv{i}_{corner}")(features)
        return features[:, 0]


class PooledLinear(nn.Module):
    """Linear, batch norm and ReLU on pooled features."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.bn: nn.Module = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs) -> (n, outputs)."""
        return self.bn(self.linear(x)).relu()


class IoUHead(nn.Module):
    """Predicts 2 * IoU - 1 of boxes with the target."""

    POOL = 4  # bins per axis

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.pool: Pooling = prroi_pool  # or what load_cuda_pooling gives
        self.conv1 = conv_bn_relu(dim, dim)
        self.conv2 = conv_bn_relu(dim, dim)
        self.conv3 = conv_bn_relu(dim, dim)
        self.fc = PooledLinear(dim * self.POOL**2, dim)
        self.iou_predictor = nn.Linear(dim, 1)

    def forward(self, features: Tensor, box_xywh_crop: Tensor) -> Tensor:
        """Score boxes.

        Args:
            features: (B, C, H, W).
            box_xywh_crop: (B, P, 4) in fractions of the crop.

        Returns:
            (B, P) float32, trained towards 2 * IoU - 1; nothing keeps it within [-1, 1].
        """
        features = self.conv3(self.conv2(self.conv1(features)))
        box_xyxy_crop = xywh_to_xyxy(box_xywh_crop)
        scale = float(features.shape[-1])  # crop fractions -> cells
        pooled = self.pool(features, box_xyxy_crop, self.POOL, scale)  # (B, P, C, 4, 4)
        hidden = self.fc(pooled.flatten(2).flatten(0, 1))  # (B*P, C)
        return self.iou_predictor(hidden).view(box_xywh_crop.shape[:2]).float()
