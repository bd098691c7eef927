"""The network in bf16 or fp16: everything between the crop's pixels and the heads' last layers.

Pixels are normalised in fp32 and then cast. Boxes, pooling and the IoU head's linear layers stay in
fp32, as do the sums inside normalisations and softmaxes. Neighbours: factored.py optimizes first,
quantized.py is int8.
"""

import torch
from torch import Tensor, nn

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.fast import support


class Cast(nn.Module):
    """Converts a tensor to a type."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self.dtype)


def cast_network(model: AiATrack, dtype: torch.dtype) -> AiATrack:
    """Cast an optimized network, in place; returns it.

    Memorized keys, values and encodings are then of that type as well, and half the size.
    """
    model.backbone.to(dtype)
    model.backbone.insert(0, Cast(dtype))
    return cast_behind_backbone(model, dtype)


def cast_behind_backbone(model: AiATrack, dtype: torch.dtype) -> AiATrack:
    """Cast what follows a backbone that gives features of the type, in place; returns it."""
    parts = ["bottleneck", "transformer", "positions", "foreground_embed", "background_embed"]
    convolutions = [name for name, _ in model.box_head.named_children() if "conv" in name]
    parts += [f"box_head.{name}" for name in convolutions]
    parts += ["iou_head.conv1", "iou_head.conv2", "iou_head.conv3"]
    for name in parts:
        model.get_submodule(name).to(dtype)
    return model


def computes_bf16_natively(device: torch.device) -> bool:
    """Whether bf16 is faster there than fp32, rather than emulated."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return support.has_instructions("avx512_bf16")
