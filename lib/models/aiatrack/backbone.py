"""Convolutional features at stride 16 of any timm backbone that has them, batch norm frozen.

Source: docs/method.md, section 2; ResNet-50 is timm's, whose parameter names are torchvision's and
the released files'.
"""

from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from lib.config.aiatrack.requirements import STRIDE
from lib.models.aiatrack.initialization import init_backbone
from lib.models.aiatrack.timm_import import timm

# The published recipe's names, and whose ImageNet weights they mean.
PRETRAINED = {"resnet50": "resnet50.tv_in1k"}


class Backbone(nn.Module):
    """Images in, one feature map at stride 16 out."""

    def __init__(
        self,
        name: str,
        *,
        pretrained: bool = False,
        frozen: tuple[str, ...] = (),
        freeze_bn: bool = True,
    ) -> None:
        """Build the network by its timm name.

        Args:
            name: of a timm model with a stage at stride 16.
            pretrained: fetch ImageNet weights (timm's cache is used first).
            frozen: modules that are never trained, such as conv1 and layer1, or patterns of their
                names, such as *.conv_dw.
            freeze_bn: batch norm with fixed statistics and gains; without, it is trained, as a
                start from random weights needs.

        Raises:
            ValueError: unknown to timm, no stage at stride 16, or nothing called like an entry of
                `frozen`.
        """
        super().__init__()
        timm_name = PRETRAINED.get(name, name)
        index = _stage_at_stride(timm_name)
        body: Any = timm.create_model(
            timm_name, features_only=True, out_indices=(index,), pretrained=pretrained
        )
        _drop_later_stages(body)
        if not pretrained:
            init_backbone(body)
        self.channels: int = body.feature_info.channels()[-1]
        self.body = timm.layers.freeze_batch_norm_2d(body) if freeze_bn else body
        for pattern in frozen:
            matching = [m for n, m in self.body.named_modules() if n and fnmatchcase(n, pattern)]
            if not matching:
                names = [child for child, _ in self.body.named_children()]
                raise ValueError(
                    f"TRAIN.FREEZE_LAYERS: {name} has no module {pattern!r}; it has {names}"
                )
            for module in matching:
                module.requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) normalised RGB -> (B, channels, S/16, S/16)."""
        return self.body(image)[-1]


def _drop_later_stages(body: Any) -> None:
    """Drop, in place, what follows the stage whose features are wanted.

    timm does this where each stage is a module of its own; EfficientNet's are one sequence, which
    it runs to the end.
    """
    parent, _, index = body.feature_info.module_name()[-1].rpartition(".")
    stages = dict(body.named_children()).get(parent)
    if isinstance(stages, nn.Sequential) and index.isdecimal():
        del stages[int(index) + 1 :]


def _stage_at_stride(name: str) -> int:
    """Index of the timm feature stage with a stride of 16."""
    entry = f"MODEL.BACKBONE.TYPE {name!r}"
    if not timm.is_model(name):
        similar = timm.list_models(f"*{name.split('.')[0][:6]}*")[:8]
        raise ValueError(f"{entry} is not a timm model; similar names: {similar}")
    try:
        body: Any = timm.create_model(name, features_only=True)
        strides = body.feature_info.reduction()
    except (RuntimeError, AttributeError) as error:
        raise ValueError(f"{entry} cannot give feature maps: {error}") from error
    if STRIDE not in strides:
        raise ValueError(f"{entry} has strides {strides}; {STRIDE} is needed")
    return strides.index(STRIDE)
