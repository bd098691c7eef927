"""Guards the cutting of objects: found where they are, left out where it is unclear."""

import cv2
import numpy as np
import pytest

from lib.synthetic.cutting import cut_object, draw_sheet


def photograph(kind: str) -> np.ndarray:
    """160 x 120; most have a textured disc of radius 30 in the middle."""
    rng = np.random.default_rng(0)
    noise = cv2.resize(rng.integers(0, 90, (12, 16, 3), np.uint8), (160, 120))
    image = {"plain": np.full((120, 160, 3), 250, np.uint8), "frame": np.full_like(noise, 255)}.get(
        kind, noise
    )
    texture = cv2.resize(rng.integers(120, 255, (30, 40, 3), np.uint8), (160, 120))
    disc = np.zeros((120, 160), np.uint8)
    cv2.circle(disc, (80, 60), 30, 255, cv2.FILLED)
    if kind == "frame":
        disc[:] = 0
        disc[20:100, 30:130] = 255
    if kind == "speck":
        disc[:] = 0
        disc[58:64, 78:84] = 255
    if kind != "scene":
        image[disc > 0] = texture[disc > 0]
    return image


@pytest.mark.parametrize(("kind", "how"), [("plain", "plain border"), ("busy", "grabcut")])
def test_an_object_in_the_middle(kind, how):
    mask, verdict = cut_object(photograph(kind))
    assert verdict == how
    disc = np.zeros((120, 160), np.uint8)
    cv2.circle(disc, (80, 60), 30, 255, cv2.FILLED)
    assert set(np.unique(mask)) == {0, 255}
    assert np.count_nonzero(mask & disc) / np.count_nonzero(mask | disc) > 0.9


@pytest.mark.parametrize(
    ("kind", "why"),
    [("frame", "a picture in a frame"), ("speck", None), ("scene", None)],
)
def test_what_is_no_object(kind, why):
    mask, verdict = cut_object(photograph(kind))
    assert mask is None and (why is None or verdict == why)


def test_the_same_photograph_gives_the_same_mask():
    first, second = (cut_object(photograph("busy")).mask for _ in range(2))
    assert np.array_equal(first, second)


def test_sheet():
    image, mask = photograph("plain"), cut_object(photograph("plain")).mask
    sheet = draw_sheet([(image, mask)] * 5, tile=50)
    assert sheet.shape == (100, 150, 3)
    assert sheet[2, 2].tolist() == [62, 158, 62]  # beside the object: dark and green
    assert sheet[-1, -1].tolist() == [0, 0, 0]  # no sixth one
