"""Guards box formats, IoU, clipping."""

import numpy as np
import pytest
import torch

from lib.utils import box_ops

IOU_CASES = [
    # name, a, b (xyxy), IoU
    ("identical", [0, 0, 10, 10], [0, 0, 10, 10], 1.0),
    ("disjoint", [0, 0, 10, 10], [20, 20, 30, 30], 0.0),
    ("partial overlap, intersection 50, union 150", [0, 0, 10, 10], [5, 0, 15, 10], 50 / 150),
    ("contained, 25 of 100", [0, 0, 10, 10], [2, 2, 7, 7], 0.25),
    ("touching edges", [0, 0, 10, 10], [10, 0, 20, 10], 0.0),
    ("inverted counts as empty", [10, 10, 0, 0], [0, 0, 10, 10], 0.0),
    ("two points", [5, 5, 5, 5], [5, 5, 5, 5], 0.0),
]


@pytest.mark.parametrize(("name", "a", "b", "iou"), IOU_CASES, ids=[c[0] for c in IOU_CASES])
def test_iou(name: str, a: list, b: list, iou: float) -> None:
    got, _ = box_ops.box_iou(torch.tensor(a, dtype=torch.float64), torch.tensor(b).double())
    assert got.item() == pytest.approx(iou, abs=1e-12)
    assert box_ops.box_iou(np.array(a, float), np.array(b, float))[0] == got.item()


def test_iou_of_arrays_is_that_of_tensors() -> None:
    boxes = np.random.default_rng(0).normal(0, 30, (500, 4))
    boxes[::7, 1] = np.nan
    for other in (boxes[::-1].copy(), boxes[1]):  # paired, and broadcast
        arrays = box_ops.box_iou(boxes, other)
        tensors = box_ops.box_iou(torch.from_numpy(boxes), torch.from_numpy(other))
        for array, tensor in zip(arrays, tensors, strict=True):
            np.testing.assert_array_equal(array, tensor.numpy())


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_conversions_round_trip(make) -> None:
    boxes = make([[1.0, 2.0, 30.0, 40.0], [-5.5, 0.25, 4.0, 8.0]])
    converted = box_ops.xywh_to_xyxy(boxes)
    assert type(converted) is type(boxes)
    assert converted.tolist() == [[1, 2, 31, 42], [-5.5, 0.25, -1.5, 8.25]]
    assert box_ops.xyxy_to_xywh(converted).tolist() == boxes.tolist()
    centres = box_ops.xywh_to_cxcywh(boxes)
    assert centres.tolist() == [[16, 22, 30, 40], [-3.5, 4.25, 4, 8]]
    assert box_ops.cxcywh_to_xywh(centres).tolist() == boxes.tolist()


def test_clip_matches_the_reference(golden: dict) -> None:
    got = box_ops.clip_xywh_image(golden["clip/in"], 320, 240)
    np.testing.assert_allclose(got, golden["clip/out"], rtol=0, atol=1e-9)
    assert not np.array_equal(golden["clip/in"], golden["clip/out"])
