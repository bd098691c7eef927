"""Guards textures from images with segmentation masks: usable segments, bad folders named."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from layouts import write_photographs

from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.plan import plan_clip
from lib.synthetic.render import annotate, render
from lib.synthetic.textures import PhotoTextures

PHOTOGRAPHS = Path(__file__).parents[3] / "shared" / "images"
SMALL = ClipOptions(length=12, height=96, width=128, object_size=(0.1, 0.4))


def test_images_with_segmentation_masks(tmp_path):
    write_photographs(tmp_path)
    for seed in range(6):
        clip = render(plan_clip(np.random.default_rng(seed), PhotoTextures(tmp_path), SMALL))
        assert clip.frames.shape == (12, 96, 128, 3) and clip.visible[0]
    segment = PhotoTextures(tmp_path)._draw(np.random.default_rng(0))[1]
    assert [(part.corner, part.alpha.shape) for part in segment] == [((50, 40), (40, 60))]


def test_what_a_segment_encloses_belongs_to_it(tmp_path):
    write_photographs(tmp_path, 1)
    mask = cv2.imread(str(tmp_path / "0.png"), cv2.IMREAD_UNCHANGED)
    mask[50:60, 60:80] = 3
    cv2.imwrite(str(tmp_path / "0.png"), mask)
    _, segments = PhotoTextures(tmp_path)._draw(np.random.default_rng(0))
    ring = next(part for part in segments if part.corner == (50, 40))
    assert ring.alpha.min() == 255


def test_images_stay_decoded(tmp_path):
    write_photographs(tmp_path, 1)
    first, second = (PhotoTextures(tmp_path).background(np.random.default_rng(0)) for _ in range(2))
    assert first is second


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="../shared/images is not here")
def test_real_photographs():
    textures = PhotoTextures(PHOTOGRAPHS)
    covers = []
    for seed in range(8):
        plan = plan_clip(np.random.default_rng(seed), textures, ClipOptions(length=40))
        clip = render(plan, [0, 20, 39])
        assert clip.visible[0]
        assert clip.frames.std(axis=(1, 2)).min() > 3  # no flat frames
        covers.append(annotate(plan).cover.min())
    assert min(covers) < 0.9  # some are hidden or cut


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no \*.jpg; images with segmentation masks"):
        PhotoTextures(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere: no \*.jpg"):
        PhotoTextures(tmp_path / "nowhere")
    write_photographs(tmp_path, 1)
    (tmp_path / "0.png").rename(tmp_path / "1.png")
    with pytest.raises(FileNotFoundError, match=r"0.jpg: its segmentation mask 0.png is missing"):
        PhotoTextures(tmp_path)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            np.ones((10, 12), np.uint8),
            r"0.png: the mask is 12x10 pixels, its image 160x120",
        ),
        (
            np.ones((120, 160, 3), np.uint8),
            r"0.png: not a segmentation mask \(one channel",
        ),
    ],
)
def test_segmentation_masks_that_do_not_fit(tmp_path, mask, message):
    write_photographs(tmp_path, 1)
    cv2.imwrite(str(tmp_path / "0.png"), mask)
    with pytest.raises(ValueError, match=message):
        render(plan_clip(np.random.default_rng(0), PhotoTextures(tmp_path), SMALL))
