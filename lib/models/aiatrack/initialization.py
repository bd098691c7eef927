"""How the network starts: one function for each part that does not keep PyTorch's defaults.

Source: docs/method.md, section 4. Called by build.py; ImageNet weights overwrite the backbone's.
"""

from torch import nn


def init_backbone(body: nn.Module) -> None:
    """Set every batch norm to the identity; timm starts the last one of a residual block at 0."""
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def init_transformer(transformer: nn.Module) -> None:
    """Draw every matrix, the joint (3C, C) projection as one, by Xavier's uniform rule."""
    for parameter in transformer.parameters():
        if parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter)


def init_iou_head(head: nn.Module) -> None:
    """Draw weights by Kaiming's normal rule and gains of batch norms from U(0, 1); biases are 0."""
    for module in head.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode="fan_in")
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight)
    for name, parameter in head.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
