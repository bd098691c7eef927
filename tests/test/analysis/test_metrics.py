"""Guards overlap, distances and curves, with the arithmetic of each case in its comment."""

import numpy as np
import pytest

from lib.test.analysis import metrics


def boxes(*rows):
    return np.array(rows, dtype=np.float64)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param([0, 0, 10, 10], [0, 0, 10, 10], 1.0, id="same"),
        # intersection 5 * 10 = 50, union 100 + 100 - 50 = 150
        pytest.param([0, 0, 10, 10], [5, 0, 10, 10], 50 / 150, id="half over"),
        # continuous: boxes that share an edge do not overlap
        pytest.param([0, 0, 10, 10], [10, 0, 10, 10], 0.0, id="touching"),
        # inside: 4 / 100
        pytest.param([0, 0, 10, 10], [4, 4, 2, 2], 0.04, id="inside"),
        pytest.param([0, 0, 0, 0], [0, 0, 10, 10], 0.0, id="empty"),
        pytest.param([5, 5, 0, 0], [5, 5, 0, 0], 0.0, id="both empty"),
        # -4 counts as 0, so there is no area and nothing to intersect
        pytest.param([5, 5, -4, 4], [0, 0, 10, 10], 0.0, id="negative size"),
    ],
)
def test_intersection_over_union(a, b, expected):
    assert metrics.intersection_over_union(boxes(a), boxes(b))[0] == expected
    assert metrics.intersection_over_union(boxes(b), boxes(a))[0] == expected


def test_overlap_with_nan_is_nan():
    assert np.isnan(metrics.intersection_over_union(boxes([0, 0, np.nan, 1]), boxes([0, 0, 1, 1])))


def test_centre_counts_pixels():
    # pixels 3, 4, 5 have their middle at 4; a single pixel is its own centre
    assert metrics.centre(boxes([3, 7, 3, 1])).tolist() == [[4.0, 7.0]]


def test_centre_error_in_pixels_and_in_target_sizes():
    truth, prediction = boxes([10, 20, 10, 20]), boxes([13, 24, 10, 20])
    pixels, normalised = metrics.centre_errors(prediction, truth)
    assert pixels[0] == 5.0  # 3, 4, 5
    assert normalised[0] == pytest.approx(np.hypot(0.3, 0.2))  # 3 / 10 and 4 / 20


def test_normalised_error_divides_before_it_subtracts():
    # Centres k + 4.5 and k + 6.5, size 10: all are 2 / 10 apart, and some round to above 0.2
    # when divided first; subtracted first, none would.
    start = np.arange(200.0)
    truth = np.stack([start, start, np.full(200, 10.0), np.full(200, 10.0)], axis=1)
    prediction = truth + np.array([2, 0, 0, 0])
    first_divided = metrics.centre(prediction)[:, 0] / 10 - metrics.centre(truth)[:, 0] / 10
    _, error = metrics.centre_errors(prediction, truth)
    assert error.tolist() == np.abs(first_divided).tolist()
    assert (error > 0.2).any() and (error <= 0.2).any()


def test_success_is_strictly_above():
    # 0.5 is not above 0.5; 3/20 is not above the threshold 3/20; 0 is not above 0
    values = np.array([0.0, 3 / 20, 0.5, 0.51])
    share = metrics.share_above(values, metrics.SUCCESS_THRESHOLDS, 4)
    assert share[0] == 3 / 4
    assert share[2] == 3 / 4 and share[3] == 2 / 4
    assert share[10] == 1 / 4
    assert share[20] == 0


def test_precision_includes_the_threshold():
    share = metrics.share_within(np.array([0.0, 20.0, 20.000001]), metrics.PRECISION_THRESHOLDS, 3)
    assert share[0] == 1 / 3 and share[19] == 1 / 3 and share[20] == 2 / 3 and share[21] == 1


def test_nan_is_never_a_hit_but_counts_as_a_frame():
    values = np.array([np.nan, 0.6, np.nan])
    assert metrics.share_above(values, metrics.SUCCESS_THRESHOLDS, 3)[10] == 1 / 3
    assert metrics.share_within(values, metrics.PRECISION_THRESHOLDS, 3)[50] == 1 / 3


def test_curves_equal_plain_counting():
    generator = np.random.default_rng(0)
    special = [*metrics.SUCCESS_THRESHOLDS, np.nan, -1, np.inf]
    values = np.concatenate([generator.random(300), special])
    above = [np.mean(values > threshold) for threshold in metrics.SUCCESS_THRESHOLDS]
    within = [np.mean(values <= threshold) for threshold in metrics.NORMALISED_THRESHOLDS]
    n = len(values)
    assert metrics.share_above(values, metrics.SUCCESS_THRESHOLDS, n).tolist() == above
    assert metrics.share_within(values, metrics.NORMALISED_THRESHOLDS, n).tolist() == within


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        pytest.param([10, 10, 20, 20], [10, 10, 20, 20], id="inside"),
        pytest.param([-5, 10, 20, 20], [0, 10, 15, 20], id="left"),
        pytest.param([90, 40, 20, 20], [90, 40, 10, 10], id="right and bottom"),
        pytest.param([200, 10, 20, 20], [100, 10, 0, 20], id="outside"),
    ],
)
def test_clip_to_image(box, expected):
    assert metrics.clip_to_image(boxes(box), 100, 50)[0].tolist() == expected
