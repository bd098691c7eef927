"""Guards jitter and proposals: arithmetic with given draws, moments over 10,000 real ones."""

import numpy as np
import pytest

from lib.train.data.random_boxes import SIGMAS, Jitter, draw_proposals, jitter_box

DRAWS = 10_000
BOX = np.array([100.0, 50, 40, 10])  # centre (120, 55), area 400


class _Fixed:
    """A generator whose draws are given."""

    def __init__(self, normal: list[float], uniform: list[float]) -> None:
        self._normal, self._uniform = np.array(normal), np.array(uniform)

    def standard_normal(self, size: int) -> np.ndarray:
        return self._normal

    def random(self, size: int) -> np.ndarray:
        return self._uniform


def test_no_jitter_is_the_same_box() -> None:
    generator = np.random.default_rng(0)
    assert jitter_box(BOX, Jitter(0, 0), generator) is BOX


def test_jitter_by_hand() -> None:
    drawn = _Fixed([2 * np.log(2), 0], [1.0, 0.25])
    # Sides 40 * exp(2 ln 2 * .5) = 80 and 10; area 800; reach sqrt(800) * 4.5 = 127.279.
    # Centre (120 + 127.279 * .5, 55 - 127.279 * .25) = (183.640, 23.180).
    box = jitter_box(BOX, Jitter(4.5, 0.5), drawn)
    assert box == pytest.approx([183.640 - 40, 23.180 - 5, 80, 10], abs=1e-3)


def test_moments_of_jitter() -> None:
    generator = np.random.default_rng(3)
    boxes = np.array([jitter_box(BOX, Jitter(4.5, 0.5), generator) for _ in range(DRAWS)])
    scale = np.log(boxes[:, 2:] / BOX[2:])
    assert np.abs(scale.mean(0)).max() < 4 * 0.5 / 100
    assert scale.std(0) == pytest.approx([0.5, 0.5], abs=4 * 0.5 / np.sqrt(2 * DRAWS))
    assert abs(np.corrcoef(scale.T)[0, 1]) < 0.04  # the sides are drawn independently
    area = np.sqrt(boxes[:, 2:].prod(1, keepdims=True))
    offset = (boxes[:, :2] + boxes[:, 2:] / 2 - (120, 55)) / area
    assert np.abs(offset).max() <= 2.25 + 1e-9 and np.abs(offset).max() > 2.24
    assert offset.std(0) == pytest.approx([4.5 / np.sqrt(12)] * 2, abs=0.03)


def test_proposals_overlap_and_are_scored() -> None:
    box = np.array([0.4, 0.3, 0.2, 0.25])
    boxes, iou = draw_proposals(box, np.random.default_rng(1))
    assert boxes.shape == (16, 4) and iou.shape == (16,)
    assert len(np.unique(boxes, axis=0)) == 16
    left, top = np.maximum(boxes[:, :2], box[:2]).T
    right, bottom = np.minimum(boxes[:, :2] + boxes[:, 2:], box[:2] + box[2:]).T
    inner = (right - left) * (bottom - top)
    union = boxes[:, 2:].prod(1) + box[2:].prod() - inner
    assert iou == pytest.approx(inner / union) and iou.min() > 0.1


def test_noise_of_proposals() -> None:
    """The noise is a mixture of five Gaussians, its tails cut a little by redraws."""
    box = np.array([0.2, 0.2, 0.4, 0.4])
    generator = np.random.default_rng(2)
    boxes = np.concatenate([draw_proposals(box, generator).boxes_xywh for _ in range(DRAWS // 16)])
    centre = (boxes[:, :2] + boxes[:, 2:] / 2 - 0.4) / 0.4
    size = (boxes[:, 2:] - 0.4) / 0.4
    spread = np.sqrt(np.mean(np.square(SIGMAS)))  # .169
    for noise in (*centre.T, *size.T):
        assert abs(noise.mean()) < 0.01
        assert 0.92 * spread < noise.std() < 1.02 * spread
    # All four below .09: .99, .74, .16, .01 and .00 of the draws at each sigma, .38 in all. Were
    # sigma drawn for each axis by itself, it would be (.62)^4 = .15.
    small = (np.abs(np.column_stack([centre, size])).max(1) < 0.09).mean()
    assert small == pytest.approx(0.38, abs=0.025)


def test_each_sigma_is_drawn_as_often() -> None:
    class Recording(np.random.Generator):
        drawn: list[np.ndarray]

        def choice(self, values: tuple, count: int) -> np.ndarray:
            picked = super().choice(values, count)
            self.drawn.append(picked)
            return picked

    generator = Recording(np.random.PCG64(4))
    generator.drawn = []
    for _ in range(DRAWS // 16):
        draw_proposals(BOX, generator)
    values, counts = np.unique(np.concatenate(generator.drawn), return_counts=True)
    assert values.tolist() == list(SIGMAS)
    assert np.abs(counts - DRAWS / 5).max() < 4 * np.sqrt(DRAWS * 0.2 * 0.8)


def test_tries_are_bounded_and_sigma_shrinks() -> None:
    class Far:
        """Noise that always throws the box out; keeps the scale it is used with."""

        tries = 0

        def choice(self, values: tuple, count: int) -> np.ndarray:
            return np.full(count, 0.3)

        def standard_normal(self, size: tuple) -> np.ndarray:
            self.tries += 1
            return np.tile([100.0, 0, 0, 0], (size[0], 1))

    generator = Far()
    boxes, iou = draw_proposals(np.array([0.0, 0, 2, 2]), generator, 3)
    assert generator.tries == 10
    # The last try's offset: 100 * .3 * 2 * .9 ** 9
    assert boxes[:, 0] == pytest.approx([60 * 0.9**9] * 3)
    assert iou.tolist() == [0, 0, 0]


def test_size_that_is_not_positive_is_a_failed_try() -> None:
    class Shrinking:
        """Noise that takes more than the width away, the first nine times or always."""

        def __init__(self, failures: int) -> None:
            self.left = failures

        def choice(self, values: tuple, count: int) -> np.ndarray:
            return np.full(count, 0.3)

        def standard_normal(self, size: tuple) -> np.ndarray:
            self.left -= 1
            return np.tile([0, 0, -100.0 if self.left >= 0 else 0.0, 0], (size[0], 1))

    box = np.array([0.1, 0.1, 0.2, 0.2])
    for failures in (9, 100):  # the tenth try is the box itself; none has a size
        boxes, iou = draw_proposals(box, Shrinking(failures), 2)
        assert boxes == pytest.approx(np.tile(box, (2, 1)))
        assert iou == pytest.approx([1, 1])


def test_long_thin_targets_give_boxes_with_a_size() -> None:
    generator = np.random.default_rng(6)
    for _ in range(200):
        boxes, iou = draw_proposals(np.array([0.1, 0.5, 0.8, 0.002]), generator)
        assert (boxes[:, 2:] > 0).all() and np.isfinite(boxes).all()
        assert ((iou >= 0) & (iou <= 1)).all()
