"""Teach a backbone the features of one that knows ImageNet, on photographs and no labels.

The student ends where the tracker's backbone does, at stride 16; a 1x1 convolution on top of it,
thrown away afterwards, predicts the teacher's map at the same stride. Loss: mean squared error of
features normalised per channel.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from lib.models.aiatrack.backbone import Backbone

TEACHER = "tf_efficientnet_lite0"
TEACHER_MEAN, TEACHER_STD = 0.498, 0.502  # of each RGB channel in [0, 1]
STRIDE = 16
AREA = (0.25, 1.0)  # of a photograph that a crop shows
ASPECT = 1.33  # of a crop, at most
LIGHT = 0.3  # brightness and contrast change by up to this share


@dataclass
class DistillOptions:
    """How long and how fast."""

    steps: int = 3000
    batch: int = 64
    size: int = 128  # pixels of a crop's side
    rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup: int = 100  # steps
    seed: int = 42


class Images(Protocol):
    """Photographs by number, such as lib/synthetic/photographs.py's."""

    def __len__(self) -> int: ...
    def image(self, number: int) -> np.ndarray: ...  # (H, W, 3) uint8 RGB


class RandomCrops(Dataset):
    """Crops by number, with randomness of their own."""

    def __init__(self, photographs: Images, options: DistillOptions) -> None:
        self.photographs, self.options = photographs, options

    def __len__(self) -> int:
        return self.options.steps * self.options.batch

    def __getitem__(self, number: int) -> np.ndarray:
        """(S, S, 3) uint8."""
        rng = np.random.default_rng((self.options.seed, number))
        image = self.photographs.image(int(rng.integers(len(self.photographs))))
        height, width = image.shape[:2]
        area = rng.uniform(*AREA) * height * width
        aspect = math.exp(rng.uniform(-1, 1) * math.log(ASPECT))
        w, h = min(int((area * aspect) ** 0.5), width), min(int((area / aspect) ** 0.5), height)
        x, y = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
        size = self.options.size
        crop = cv2.resize(image[y : y + h, x : x + w], (size, size), interpolation=cv2.INTER_AREA)
        crop = np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)
        gain, shift = 1 + rng.uniform(-LIGHT, LIGHT), 255 * rng.uniform(0, LIGHT / 2)
        return cv2.convertScaleAbs(crop, alpha=gain, beta=shift)


def load_teacher(state: dict[str, Tensor]) -> nn.Module:
    """EfficientNet-Lite0 up to stride 16, with the weights of its ImageNet-trained release.

    Args:
        state: tensors in timm's order, whatever their names.

    Raises:
        ValueError: another number of tensors, or of another shape.
    """
    whole = timm.create_model(TEACHER)
    own = whole.state_dict()
    shapes = [tuple(t.shape) for t in own.values()]
    if [tuple(t.shape) for t in state.values()] != shapes:
        raise ValueError(f"these are not the {len(shapes)} tensors of {TEACHER}, in its order")
    named = dict(zip(own, state.values(), strict=True))
    teacher = timm.create_model(TEACHER, features_only=True, out_indices=(3,))
    wanted = teacher.state_dict()
    teacher.load_state_dict({name: named[name] for name in wanted})
    return teacher.eval().requires_grad_(False)


class Distiller:
    """Student and the layer that translates its features into the teacher's."""

    def __init__(
        self,
        backbone: Backbone,
        teacher: nn.Module,
        mean: Tensor,
        std: Tensor,
        options: DistillOptions,
        dtype: torch.dtype | None = None,
    ) -> None:
        """mean, std: (3, 1, 1), of the student's images in [0, 1]."""
        self.backbone = backbone.to(memory_format=torch.channels_last)
        self.teacher = teacher.to(memory_format=torch.channels_last)
        self.options, self.dtype, self.mean, self.std = options, dtype, mean, std
        channels = teacher(torch.zeros(1, 3, 64, 64))[0].shape[1]
        self.translate = nn.Conv2d(backbone.channels, channels, 1)
        self.scale = nn.BatchNorm2d(channels, affine=False)  # of the teacher's features
        modules = nn.ModuleList([backbone, self.translate])
        self.parameters = [p for p in modules.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, options.rate, weight_decay=options.weight_decay
        )

    def step(self, crops: Tensor, number: int) -> float:
        """Learn from (B, S, S, 3) uint8 crops; returns the loss, 1 for predicting means."""
        o = self.options
        ramp = min((number + 1) / o.warmup, 1) * 0.5 * (1 + math.cos(math.pi * number / o.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = o.rate * ramp
        images = crops.permute(0, 3, 1, 2).float().div(255)
        with torch.autocast("cpu", self.dtype or torch.bfloat16, enabled=self.dtype is not None):
            with torch.no_grad():
                truth = self.teacher((images - TEACHER_MEAN) / TEACHER_STD)[0]
            features = self.backbone((images - self.mean) / self.std)
            predicted = self.translate(features)
        loss = F.mse_loss(predicted.float(), self.scale(truth.float()))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        return loss.item()


def batches(photographs: Images, options: DistillOptions, workers: int) -> Iterator[Tensor]:
    """(B, S, S, 3) uint8 crops, in an order that follows from the seed."""
    yield from DataLoader(
        RandomCrops(photographs, options), options.batch, num_workers=workers, drop_last=True
    )
