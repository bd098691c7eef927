"""Guards the protocols: published figures on real files, generated cases for the rest."""

from pathlib import Path

import numpy as np
import pytest

from lib.io.load_text import load_boxes, load_column
from lib.test.analysis.protocols import PROTOCOLS, carry_forward, default_protocol, score
from lib.test.evaluation.data import Truth

LASOT40 = Path(__file__).resolve().parents[4] / "shared" / "lasot40"
BOX = [100.0, 100.0, 50.0, 50.0]
FAR = [900.0, 900.0, 50.0, 50.0]
NAN = [np.nan] * 4


def truth(rows, dataset="otb", visible=None, image_size=None):
    flags = None if visible is None else np.array(visible, dtype=bool)
    return Truth("made-up", dataset, np.array(rows, dtype=np.float64), flags, image_size)


def evaluate(protocol, prediction, annotation):
    return score(protocol, np.array(prediction, dtype=np.float64).reshape(-1, 4), annotation)


def figures(result):
    """OP50, P, NormP as numbers of frames."""
    shares = result.success[10], result.precision[20], result.normalised_precision[20]
    return [round(share * result.frames, 9) for share in shares]


@pytest.mark.skipif(not LASOT40.is_dir(), reason="no real results: ../shared/lasot40 is absent")
@pytest.mark.parametrize(
    ("protocol", "auc", "norm_p", "p"),
    [("lasot", 68.4234, 78.8176, 71.6700), ("otb", 70.2757, 80.9182, 73.4202)],
)
def test_official_results_score_the_published_figures(protocol, auc, norm_p, p):
    scores = []
    for path in sorted((LASOT40 / "annos").glob("*.txt")):
        visible = load_column(LASOT40 / "absent" / path.name) == 0
        annotation = Truth(path.stem, "lasot", load_boxes(path), visible)
        scores.append(score(protocol, load_boxes(LASOT40 / "results" / path.name), annotation))
    assert len(scores) == 40
    assert round(100 * np.mean([s.success.mean() for s in scores]), 4) == auc
    assert round(100 * np.mean([s.normalised_precision[20] for s in scores]), 4) == norm_p
    assert round(100 * np.mean([s.precision[20] for s in scores]), 4) == p


@pytest.mark.parametrize("protocol", ["lasot", "otb", "otb_strict"])
def test_perfect_result(protocol):
    result = evaluate(protocol, [BOX] * 4, truth([BOX] * 4))
    # IoU 1 is above every threshold but 1 itself: 20 of 21
    assert result.success.mean() == pytest.approx(20 / 21)
    assert result.precision[0] == 1 and result.normalised_precision[0] == 1
    assert result.average_overlap == 1 and result.frames == 4 and result.notes == ()


@pytest.mark.parametrize("protocol", ["lasot", "otb", "otb_strict"])
def test_first_row_is_the_truth_and_counts(protocol):
    # row 0 wrong, row 1 wrong: the first is replaced, so 1 of 2
    assert figures(evaluate(protocol, [FAR, FAR], truth([BOX, BOX]))) == [1, 1, 1]


def test_carry_forward_goes_on_in_order():
    rows = np.arange(20.0).reshape(5, 4)
    bad = np.array([True, True, False, True, True])
    assert carry_forward(rows, bad)[:, 0].tolist() == [0, 0, 8, 8, 8]


@pytest.mark.parametrize("protocol", ["lasot", "otb", "otb_strict"])
@pytest.mark.parametrize("empty", [[0, 0, 0, 0], [300, 300, 0, 9], [300, 300, 9, 0]])
def test_empty_boxes_take_the_one_before(protocol, empty):
    result = evaluate(protocol, [BOX, BOX, empty, empty], truth([BOX] * 4))
    assert figures(result) == [4, 4, 4]
    assert "2 boxes without a size" in result.notes[0]


@pytest.mark.parametrize("protocol", ["lasot", "otb", "otb_strict"])
def test_carry_forward_comes_before_the_first_row_is_replaced(protocol):
    # row 1 takes the predicted row 0, which is far off, not the annotation put there later
    assert figures(evaluate(protocol, [FAR, [0, 0, 0, 0]], truth([BOX, BOX]))) == [1, 1, 1]


def test_no_carry_forward_where_the_annotation_holds_nan():
    # frame 2 is not annotated, so its empty box stays, and frame 3 takes that empty box
    rows = [BOX, BOX, [0, 0, 0, 0], [0, 0, 0, 0]]
    result = evaluate("otb", rows, truth([BOX, BOX, [100, 100, np.nan, 50], BOX], "uav"))
    assert result.frames == 3
    assert round(result.success[10] * 3) == 2


@pytest.mark.parametrize(
    ("row", "lasot", "otb"),
    [
        pytest.param([300, 300, -5, 9], 3, 2, id="negative"),
        pytest.param([100, 100, np.nan, 50], 3, 2, id="NaN size"),
        pytest.param(NAN, 3, 2, id="all NaN"),
        # its size is good, so no protocol mends it, and a NaN is never a hit
        pytest.param([np.nan, 100, 50, 50], 2, 2, id="NaN place"),
    ],
)
def test_only_lasot_mends_negative_and_nan_sizes(row, lasot, otb):
    annotation = truth([BOX] * 3, "lasot", [1, 1, 1])
    assert figures(evaluate("lasot", [BOX, BOX, row], annotation)) == [lasot] * 3
    assert figures(evaluate("otb", [BOX, BOX, row], annotation)) == [otb] * 3


def test_nan_prediction_is_reported():
    result = evaluate("otb", [BOX, NAN], truth([BOX, BOX]))
    assert result.notes == ("1 boxes hold NaN and count as misses",)
    assert result.average_overlap == 0.5


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("row", "note"),
    [
        pytest.param([np.inf, 100, 50, 50], "1 boxes hold infinity or more than", id="inf"),
        pytest.param([100, 100, np.inf, 50], "1 boxes hold infinity or more than", id="inf wide"),
        pytest.param([-np.inf, 100, np.inf, 50], "1 boxes hold infinity or more", id="all the way"),
        pytest.param([1e308, 1e308, 1e308, 1e308], "1 boxes hold infinity or more", id="1e308"),
        pytest.param([100, 100, 50, -1e308], "1 boxes hold infinity or more", id="-1e308"),
        pytest.param([100, 100, -50, 50], "1 boxes have a negative size", id="negative width"),
        pytest.param([100, 100, 50, -0.5], "1 boxes have a negative size", id="negative height"),
        pytest.param([np.nan, 100, 50, 50], "1 boxes hold NaN", id="NaN"),
        pytest.param([100, 100, 0, 50], "1 boxes without a size", id="empty"),
    ],
)
def test_odd_numbers_get_a_note_in_every_protocol(protocol, row, note):
    annotation = truth([BOX] * 3, visible=[1, 1, 1], image_size=(1000, 1000))
    result = evaluate(protocol, [BOX, BOX, row], annotation)
    assert any(note in text for text in result.notes), result.notes
    assert np.isfinite(result.success).all() and np.isfinite(result.average_overlap)
    assert not evaluate(protocol, [BOX] * 3, annotation).notes


def test_own_data_are_scored_without_quirks():
    # one of three frames is annotated: `otb` counts the other two as normalised hits
    annotation = truth([BOX, NAN, NAN], "own")
    for dataset in ("own", "demo"):
        result = evaluate(default_protocol(dataset), [BOX] * 3, annotation)
        assert result.normalised_precision.max() == 1 and result.precision.max() == 1


@pytest.mark.parametrize("protocol", ["lasot", "otb", "otb_strict"])
def test_too_long_is_cut(protocol):
    result = evaluate(protocol, [BOX, BOX, FAR, FAR], truth([BOX, BOX]))
    assert figures(result) == [2, 2, 2]
    assert result.notes == ("4 boxes for 2 frames: the rest is cut off",)


def test_too_short_is_an_error_for_lasot():
    with pytest.raises(ValueError, match="made-up: the result has 2 boxes, the annotation 3"):
        evaluate("lasot", [BOX, BOX], truth([BOX] * 3, "lasot"))


@pytest.mark.parametrize("protocol", ["otb", "otb_strict"])
def test_too_short_is_padded_with_empty_boxes_elsewhere(protocol):
    # the padding is not carried forward: 2 hits of 4
    result = evaluate(protocol, [BOX, BOX], truth([BOX] * 4))
    assert figures(result) == [2, 2, 2]
    assert result.notes == ("2 boxes for 4 frames: padded with empty boxes",)


def test_empty_file_is_padded_too():
    assert figures(evaluate("otb", [], truth([BOX, BOX]))) == [1, 1, 1]


def test_lasot_counts_absent_frames_as_misses_and_in_the_denominator():
    annotation = truth([BOX] * 4, "lasot", [1, 1, 0, 0])
    result = evaluate("lasot", [BOX] * 4, annotation)
    assert result.frames == 4 and figures(result) == [2, 2, 2]
    assert result.average_overlap == 0.5
    result = evaluate("otb", [BOX] * 4, annotation)
    assert result.frames == 2 and figures(result) == [2, 2, 2]


@pytest.mark.parametrize("bad", [[0, 9, 9, 9], [9, 0, 9, 9], [9, 9, 0, 9], [9, 9, 9, -1], NAN])
def test_lasot_invalid_frame_is_a_precision_hit_but_no_overlap(bad):
    # Kept: frame 1 is visible and its annotation is not all positive: -1 is within 20 px and 0.2
    result = evaluate("lasot", [BOX, FAR], truth([BOX, bad], "lasot", [1, 1]))
    assert result.frames == 2 and figures(result) == [1, 2, 2]
    assert result.success[0] == 0.5


@pytest.mark.parametrize(
    ("dataset", "visible", "hits"),
    [
        # Kept: one valid frame, and -1 counts as a hit, so NormP is 2 / 1
        pytest.param("otb", None, [1, 1, 2], id="otb: centre +inf, normalised -1"),
        pytest.param("nfs", None, [1, 1, 2], id="nfs: centre +inf, normalised -1"),
        pytest.param("uav", None, [1, 2, 2], id="uav: both -1"),
        pytest.param("lasot", [1, 1], [1, 1, 2], id="lasot, visible: centre +inf, normalised -1"),
        pytest.param("lasot", [1, 0], [1, 1, 1], id="lasot, absent: both +inf"),
        pytest.param("lasot_ext", [1, 0], [1, 1, 1], id="lasot_ext, absent: both +inf"),
    ],
)
@pytest.mark.parametrize("bad", [[100, 100, 0, 50], [100, 100, 50, -1], NAN])
def test_otb_invalid_frames_by_data_set(dataset, visible, hits, bad):
    annotation = truth([BOX, bad], dataset, visible)
    result = evaluate("otb", [BOX, BOX], annotation)
    assert result.frames == 1 and figures(result) == hits
    strict = evaluate("otb_strict", [BOX, BOX], annotation)
    assert strict.frames == 1 and figures(strict) == [1, 1, 1]


def test_norm_p_can_pass_100_under_otb_only():
    annotation = truth([BOX, NAN, NAN, NAN], "uav")
    assert evaluate("otb", [BOX] * 4, annotation).normalised_precision[20] == 4.0
    assert evaluate("otb_strict", [BOX] * 4, annotation).normalised_precision[20] == 1.0


@pytest.mark.parametrize("protocol", ["lasot", "otb", "otb_strict"])
def test_frames_exactly_on_a_threshold(protocol):
    # 50 of 100 px2: IoU 0.5 is no hit at 0.5; 20 px and 20/100 of the width are hits
    half = evaluate(protocol, [[1, 1, 10, 10], [1, 1, 10, 5]], truth([[1, 1, 10, 10]] * 2))
    assert half.success[10] == 0.5 and half.success[9] == 1.0
    wide = [100.0, 100.0, 100.0, 100.0]
    moved = evaluate(protocol, [wide, [120.0, 100.0, 100.0, 100.0]], truth([wide] * 2))
    assert moved.precision[20] == 1.0 and moved.precision[19] == 0.5
    # 169.5 / 100 - 149.5 / 100 is a little below 0.2 in floats, which is the published order
    assert moved.normalised_precision[20] == 1.0 and moved.normalised_precision[19] == 0.5


def test_got10k_drops_the_first_frame_and_covered_ones():
    annotation = truth([BOX] * 4, "got10k_val", [1, 1, 0, 1], (1000, 1000))
    # frames 1 and 3 count: IoU 1 and 0
    result = evaluate("got10k", [BOX, BOX, FAR, FAR], annotation)
    assert result.frames == 2
    assert result.average_overlap == 0.5 and result.success[10] == 0.5 and result.success[15] == 0.5
    assert np.isnan(result.precision).all() and np.isnan(result.normalised_precision).all()


def test_got10k_clips_both_boxes_to_the_image():
    # in an image of 100 px both are [80, 0, 20, 50]; unclipped the IoU would be 20 / 50
    annotation = truth([[80, 0, 20, 50]] * 2, "got10k_val", [1, 1], (100, 100))
    result = evaluate("got10k", [[80, 0, 50, 50]] * 2, annotation)
    assert result.average_overlap == 1.0


def test_refusals():
    with pytest.raises(ValueError, match=r"unknown protocol 'voc'; there are lasot, otb"):
        evaluate("voc", [BOX], truth([BOX]))
    with pytest.raises(ValueError, match="made-up: the annotation is empty"):
        evaluate("otb", [BOX], truth(np.empty((0, 4))))
    with pytest.raises(ValueError, match="made-up: 1 visibility flags for 2 boxes"):
        evaluate("lasot", [BOX, BOX], truth([BOX, BOX], "lasot", [1]))
    with pytest.raises(ValueError, match="made-up: no frame can be scored"):
        evaluate("otb", [BOX], truth([[1, 1, 0, 0]]))
    with pytest.raises(ValueError, match="made-up: the got10k protocol needs the image size"):
        evaluate("got10k", [BOX, BOX], truth([BOX, BOX]))


def test_inputs_are_left_alone():
    prediction, annotation = np.array([FAR, [0, 0, 0, 0.0]]), truth([BOX, BOX], "lasot", [1, 1])
    before = prediction.copy()
    for protocol in ("lasot", "otb", "otb_strict"):
        score(protocol, prediction, annotation)
    assert (prediction == before).all() and annotation.boxes_xywh.tolist() == [BOX, BOX]


def test_defaults_are_the_papers():
    expected = {"lasot": "lasot", "lasot_ext": "lasot", "got10k_val": "got10k"}
    expected |= dict.fromkeys(("otb", "nfs", "uav", "trackingnet"), "otb")
    expected |= dict.fromkeys(("own", "demo"), "otb_strict")
    assert {name: default_protocol(name) for name in expected} == expected
    assert set(expected.values()) <= set(PROTOCOLS)
