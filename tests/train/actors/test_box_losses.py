"""Guards GIoU, of inverted boxes too."""

import numpy as np
import pytest
import torch

from lib.train.actors.box_losses import generalized_box_iou, is_inverted


def test_giou_matches_the_reference(golden: dict) -> None:
    a, b = torch.from_numpy(golden["giou/a"]), torch.from_numpy(golden["giou/b"])
    giou, iou = generalized_box_iou(a, b)
    assert (1 - giou).mean().item() == pytest.approx(golden["giou/loss"].item(), rel=1e-6)
    np.testing.assert_allclose(iou.numpy(), golden["giou/iou"], rtol=1e-5, atol=1e-6)


def test_giou_by_hand() -> None:
    a, b = torch.tensor([0.0, 0, 10, 10]), torch.tensor([20.0, 0, 30, 10])
    giou, _ = generalized_box_iou(a, b)
    assert giou.item() == pytest.approx(-1 / 3)  # union 200, enclosing 300: 0 - 100 / 300


def test_giou_pulls_an_inverted_box_together() -> None:
    """Its corners lie beyond the target on both sides: each is drawn towards the other."""
    box = torch.tensor([0.95, 0.9, 0.05, 0.1], requires_grad=True)
    giou, _ = generalized_box_iou(box, torch.tensor([0.3, 0.3, 0.7, 0.7]))
    assert is_inverted(box)
    # enclosing 0.9 * 0.8 = 0.72, union 0.16, IoU 0: -(0.72 - 0.16) / 0.72
    assert giou.item() == pytest.approx(-0.56 / 0.72)
    (gradient,) = torch.autograd.grad(1 - giou, box)
    assert (gradient[:2] > 0).all() and (gradient[2:] < 0).all()


def test_the_loss_fixes_an_inverted_box() -> None:
    """Inside the target GIoU is flat and the L1 term of the recipe's loss does the work."""
    box = torch.tensor([0.8, 0.7, 0.2, 0.3], requires_grad=True)
    target = torch.tensor([0.1, 0.1, 0.9, 0.9])
    for _ in range(300):
        giou, _ = generalized_box_iou(box, target)
        loss = 2 * (1 - giou) + 5 * (box - target).abs().mean()
        assert torch.isfinite(loss)
        (gradient,) = torch.autograd.grad(loss, box)
        assert torch.isfinite(gradient).all()
        box = (box - 0.01 * gradient).detach().requires_grad_()
    assert not is_inverted(box)
    assert generalized_box_iou(box, target)[0] > 0.8
