"""Guards losses and gradients: two training steps against stored figures of the reference.

The figures are in tests/fixtures/golden_seed18.npz, keys train/*; weights and frames follow from
tests/seeded.py. Bounds: the reference repeats itself to 1e-5 in losses and 2e-3 in gradient norms.
"""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from seeded import seeded_box, seeded_frame, seeded_tensor
from torch import nn

from lib.config.aiatrack.config import make_config
from lib.models.aiatrack.aiatrack import Prediction, target_cells
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.head import CornerHead
from lib.train.actors.aiatrack import AIATRACKActor, LossWeights, corner_cross_entropy
from lib.train.data.loader import build_loader
from lib.train.optimizer import build_optimizer
from lib.utils.box_ops import xywh_to_xyxy
from lib.utils.crop import Crop
from tests.train.tiny import TINY, Rectangles


@pytest.fixture(scope="module")
def stored(golden):
    return {key[6:]: value for key, value in golden.items() if key.startswith("train/")}


def cut(frame, box_around, box):
    """Crop of a seeded frame around a box: image (3,S,S) in [0,1], mask (S,S), `box` within it."""
    crop = Crop.around(np.asarray(box_around, float), 5.0, 320)
    image, mask = crop.cut(frame)
    image = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    return image, torch.from_numpy(mask), torch.from_numpy(crop.to_crop(np.asarray(box))).float()


@pytest.fixture(scope="module")
def batch(stored):
    """The two samples that the fixture's README describes."""
    searches, references = [], []
    for s, (jx, jy) in enumerate(stored["jitter"]):
        references.append([cut(seeded_frame(t), *[seeded_box(t)] * 2) for t in (s, 3 + s)])
        x, y, w, h = seeded_box(6 + s)
        around = [x + jx, y + jy, 1.15 * w, 0.9 * h]
        searches.append(cut(seeded_frame(6 + s), around, seeded_box(6 + s)))
    search, search_mask, search_box = map(torch.stack, zip(*searches, strict=True))
    rows = [list(map(torch.stack, zip(*sample, strict=True))) for sample in references]
    refs, ref_masks, ref_boxes = map(torch.stack, zip(*rows, strict=True))
    proposals = torch.from_numpy(stored["proposals"])
    return SimpleNamespace(
        search=search,
        search_mask=search_mask,
        search_box=search_box,
        references=refs,
        reference_masks=ref_masks,
        reference_boxes=ref_boxes,
        proposals=proposals,
        proposal_iou=torch.from_numpy(stored["proposal_iou"]),
    )


def make_model(released_names, seed):
    cfg = make_config({"MODEL": {"TRANSFORMER": {"DROPOUT": 0.0}}})
    model = build_aiatrack(cfg)
    model.load_state_dict(
        {
            name: torch.from_numpy(seeded_tensor(name, tuple(entry["shape"]), seed))
            for name, entry in released_names.items()
        }
    )
    return cfg, model.train()


def test_batch_is_the_fixtures(stored, batch):
    np.testing.assert_allclose(batch.search_box, stored["search_anno"], rtol=1e-5)
    cells = [
        [target_cells(box[None], torch.arange(20)).sum().item() for box in boxes]
        for boxes in batch.reference_boxes
    ]
    np.testing.assert_array_equal(cells, stored["reference_region_sum"][..., 0])


@pytest.mark.slow
def test_two_steps_match_the_reference(stored, batch, released_names):
    cfg, model = make_model(released_names, int(stored["seed"]))
    optimizer = build_optimizer(model, cfg)
    actor = AIATRACKActor(model, LossWeights())
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert sorted(frozen) == sorted(stored["frozen_names"])
    assert sorted(trainable) == sorted(stored["grad_names"])
    for step, (loss_bound, norm_bound) in enumerate([(1e-4, 5e-3), (5e-3, 5e-2)]):
        output = actor(batch)
        for name in ("Ls/total", "Ls/giou", "Ls/l1", "Ls/iou", "IoU"):
            expected = stored[f"step{step}/{name}"]
            np.testing.assert_allclose(output.terms[name], expected, rtol=loss_bound, err_msg=name)
        optimizer.zero_grad()
        output.loss.backward()
        if step == 0:
            expected_norms = dict(zip(stored["grad_names"], stored["grad_norms"], strict=True))
            for name, p in trainable.items():
                np.testing.assert_allclose(
                    p.grad.norm(), expected_norms[name], rtol=5e-3, atol=1e-4, err_msg=name
                )
        norm = nn.utils.clip_grad_norm_(trainable.values(), cfg.TRAIN.GRAD_CLIP_NORM)
        expected = stored[f"step{step}/grad_norm_before_clip"]
        np.testing.assert_allclose(norm, expected, rtol=norm_bound)
        optimizer.step()


class Fixed(nn.Module):
    """A network that predicts given boxes and scores, and keeps what it was given."""

    def __init__(self, box_xyxy, iou):
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(len(box_xyxy), 2, 4, 4))
        self.box = nn.Parameter(torch.tensor(box_xyxy))
        self.iou = nn.Parameter(torch.tensor(iou))

    def forward(self, *arguments):
        self.arguments = arguments
        return Prediction(self.box, self.iou, self.scores)


def small_batch(search_box, proposal_iou):
    return SimpleNamespace(
        **{
            name: torch.zeros(1)
            for name in (
                "search search_mask references reference_masks reference_boxes proposals".split()
            )
        },
        search_box=torch.tensor(search_box),
        proposal_iou=torch.tensor(proposal_iou),
    )


def test_terms_by_hand():
    # boxes 0.4 x 0.4 shifted by 0.2 in x: intersection 0.08, union 0.24, enclosing 0.6 x 0.4 = 0.24
    actor = AIATRACKActor(Fixed([[0.2, 0.2, 0.6, 0.6]], [[0.5, -1.0]]), LossWeights())
    output = actor(small_batch([[0.4, 0.2, 0.4, 0.4]], [[0.0, -1.0]]))
    terms = {name: value.item() for name, value in output.terms.items()}
    expected = {"Ls/giou": 2 / 3, "Ls/l1": 0.1, "Ls/iou": 0.125, "IoU": 1 / 3, "inverted": 0}
    expected["Ls/total"] = 2 * 2 / 3 + 5 * 0.1 + 2 * 0.125
    assert terms == pytest.approx(expected, rel=1e-5)


def test_truth_is_clamped_to_the_crop():
    actor = AIATRACKActor(Fixed([[0.5, 0.5, 1.0, 1.0]], [[0.0]]), LossWeights())
    output = actor(small_batch([[0.5, 0.5, 0.9, 0.9]], [[0.0]]))
    assert output.terms["IoU"].item() == pytest.approx(1)
    assert output.loss.item() == pytest.approx(0, abs=1e-6)


def test_inverted_box_is_counted_and_put_in_order():
    """Descending the loss puts the corners of an inverted prediction back in order."""
    net = Fixed([[0.6, 0.6, 0.4, 0.4]], [[0.0]])
    actor = AIATRACKActor(net, LossWeights())
    batch = small_batch([[0.45, 0.45, 0.1, 0.1]], [[0.0]])
    output = actor(batch)
    assert output.terms["inverted"].item() == 1
    assert torch.isfinite(output.loss)
    for _ in range(200):
        loss = actor(batch).loss
        (gradient,) = torch.autograd.grad(loss, net.box)
        assert torch.isfinite(gradient).all()
        net.box.data -= 0.005 * gradient.sign()
    truth = xywh_to_xyxy(batch.search_box)
    torch.testing.assert_close(net.box.data, truth, atol=0.02, rtol=0)


def test_iou_loss_reaches_the_decoder():
    """The IoU head's loss back-propagates into the features it reads."""
    torch.manual_seed(0)
    model = build_aiatrack(make_config(TINY)).train()
    loader = build_loader(Rectangles(), batch_size=2, workers=0, seed=1, epoch_length=2)
    batch = next(iter(loader)).to("cpu")
    AIATRACKActor(model, LossWeights(giou=0.0, l1=0.0))(batch).loss.backward()
    assert model.transformer.decoder.norm.weight.grad.norm() > 1e-3


def test_references_are_learnt_too_where_every_frame_is_sought():
    """The truth of three predictions: the search frame's box, then those of the two references."""
    boxes = [[0.1, 0.1, 0.3, 0.3], [0.2, 0.2, 0.5, 0.5], [0.4, 0.4, 0.6, 0.8]]  # xyxy
    batch = small_batch([[0.1, 0.1, 0.2, 0.2]], [[0.0]])
    batch.reference_boxes = torch.tensor([[[0.2, 0.2, 0.3, 0.3], [0.4, 0.4, 0.2, 0.4]]])
    actor = AIATRACKActor(Fixed(boxes, [[0.0]]), LossWeights(), every_frame=True)
    output = actor(batch)
    assert output.loss.item() == pytest.approx(0, abs=1e-6)
    assert output.box_xyxy.shape == (1, 4)  # of the search frames, which pictures are drawn of


def test_windows_beside_the_target_teach_no_box():
    """Neither they nor the last frame, whose first reference they are, are learnt."""
    boxes = [[0.1, 0.1, 0.3, 0.3], [0.2, 0.2, 0.5, 0.5], [0.9, 0.9, 1.0, 1.0]]  # xyxy
    batch = small_batch([[1.4, 0.1, 0.2, 0.2]], [[-1.0]])
    batch.reference_boxes = torch.tensor([[[0.2, 0.2, 0.3, 0.3], [0.4, 0.4, 0.2, 0.4]]])
    net, options = Fixed(boxes, [[-1.0]]), {"every_frame": True, "absent": True}
    output = AIATRACKActor(net, LossWeights(corner=0.0), **options)(batch)
    assert output.loss.item() == pytest.approx(0, abs=1e-6)
    assert output.terms["IoU"].item() == pytest.approx(1)
    alone = AIATRACKActor(Fixed(boxes[:1], [[-1.0]]), LossWeights(corner=1.0), absent=True)(batch)
    assert alone.loss.item() == 0  # no box at all in the batch: no mean of nothing


def test_the_own_box_is_scored_by_its_overlap():
    # boxes 0.4 x 0.4 shifted by 0.2: IoU 1/3, on the head's scale -1/3
    batch = small_batch([[0.4, 0.2, 0.4, 0.4]], [[0.5]])
    net = Fixed([[0.2, 0.2, 0.6, 0.6]], [[0.5, 0.0]])
    output = AIATRACKActor(net, LossWeights(), score_own=True)(batch)
    assert output.terms["Ls/iou"].item() == pytest.approx((1 / 3) ** 2 / 2)
    assert net.arguments[-1] is True


def test_recent_references_are_marked_where_the_batch_says():
    batch = small_batch([[0.4, 0.2, 0.4, 0.4]], [[0.0]])
    batch.recent_boxes = torch.rand(1, 3, 4)
    net = Fixed([[0.2, 0.2, 0.6, 0.6]], [[0.0]])
    AIATRACKActor(net, LossWeights(), recent_errors=True)(batch)
    assert net.arguments[-2] is batch.recent_boxes
    AIATRACKActor(net, LossWeights())(batch)
    assert net.arguments[-2] is None


def test_corner_cross_entropy_by_hand():
    # corners at (0.25, 0.5) and (0.625, 0.75) of 4 x 4 cells: cell (1, 2), and column 2.5 of row 3
    truth = torch.tensor([[0.25, 0.5, 0.625, 0.75]])
    flat = torch.zeros(1, 2, 4, 4)
    assert corner_cross_entropy(flat, truth).item() == pytest.approx(math.log(16))
    sure = flat.clone()
    sure[0, 0, 2, 1] = 50
    sure[0, 1, 3, 2:4] = 50  # half of it in either cell: its expected column is 2.5
    assert corner_cross_entropy(sure, truth).item() == pytest.approx(math.log(2) / 2)


def test_cross_entropy_teaches_what_the_corner_head_reads():
    """Descending it alone brings the soft-argmax to the truth, the border's last half cell too."""
    head = CornerHead(8)
    truth = torch.tensor([[0.11, 0.32, 0.47, 0.70], [0.0, 0.05, 0.99, 1.0]])
    scores = torch.zeros(2, 2, 8, 8, requires_grad=True)
    optimizer = torch.optim.Adam([scores], lr=0.3)
    for _ in range(300):
        optimizer.zero_grad()
        corner_cross_entropy(scores, truth).mean().backward()
        optimizer.step()
    reachable = truth.clamp(max=7 / 8)  # the last cell lies at 7/8
    box = head.expectation(scores.detach()).flatten(1)
    torch.testing.assert_close(box, reachable, atol=0.01, rtol=0)


def test_corner_term_is_logged_and_weighed():
    batch = small_batch([[0.4, 0.2, 0.4, 0.4]], [[0.0]])
    net = Fixed([[0.2, 0.2, 0.6, 0.6]], [[0.0]])
    without = AIATRACKActor(net, LossWeights())(batch)
    with_it = AIATRACKActor(net, LossWeights(corner=0.5))(batch)
    assert "Ls/corner" not in without.terms
    assert with_it.terms["Ls/corner"].item() == pytest.approx(math.log(16))
    assert (with_it.loss - without.loss).item() == pytest.approx(math.log(16) / 2)


def test_losses_are_fp32_under_autocast():
    net = Fixed([[0.2, 0.2, 0.6, 0.6]], [[0.5]]).to(torch.bfloat16)
    output = AIATRACKActor(net, LossWeights(), torch.bfloat16)(
        small_batch([[0.4, 0.2, 0.4, 0.4]], [[0.0]])
    )
    assert output.loss.dtype == torch.float32
