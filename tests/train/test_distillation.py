"""Guards the teaching of a backbone: it learns, repeatably, and only from the right teacher."""

import numpy as np
import pytest
import timm
import torch

from lib.models.aiatrack.backbone import Backbone
from lib.train.distillation import TEACHER, Distiller, DistillOptions, batches, load_teacher


class Photographs:
    """Noise at three scales."""

    def __len__(self) -> int:
        return 3

    def image(self, number: int) -> np.ndarray:
        size = 20 * 2**number
        return np.random.default_rng(number).integers(0, 256, (size, size + 8, 3), np.uint8)


OPTIONS = DistillOptions(steps=12, batch=4, size=32, warmup=2)


def teacher() -> torch.nn.Module:
    torch.manual_seed(1)
    return timm.create_model("test_resnet", features_only=True, out_indices=(3,)).eval()


def losses() -> list[float]:
    torch.manual_seed(0)
    student = Backbone("test_resnet", freeze_bn=False)
    mean, std = torch.full((3, 1, 1), 0.5), torch.full((3, 1, 1), 0.25)
    distiller = Distiller(student, teacher(), mean, std, OPTIONS)
    crops = next(batches(Photographs(), OPTIONS, workers=0))  # one batch, again and again
    return [distiller.step(crops, number) for number in range(OPTIONS.steps)]


def test_it_learns_and_repeats():
    first = losses()
    assert first[-1] < 0.9 * first[0]
    assert first == losses()


def test_crops_follow_from_the_seed():
    one, two = (list(batches(Photographs(), OPTIONS, workers=w)) for w in (0, 1))
    assert len(one) == 12 and one[0].shape == (4, 32, 32, 3) and one[0].dtype == torch.uint8
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one[0], one[1])


def test_the_teacher_is_known_by_its_tensors():
    state = timm.create_model(TEACHER).state_dict()
    renamed = {f"layer{i}": tensor for i, tensor in enumerate(state.values())}
    features = load_teacher(renamed)(torch.zeros(1, 3, 64, 64))[0]
    assert features.shape[1:] == (112, 4, 4)
    assert not any(p.requires_grad for p in load_teacher(state).parameters())
    del renamed["layer0"]
    with pytest.raises(ValueError, match=f"not the {len(state)} tensors of {TEACHER}"):
        load_teacher(renamed)
