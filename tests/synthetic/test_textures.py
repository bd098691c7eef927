"""Guards textures from photographs: objects where masks say so, look-alikes, folders named."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from layouts import write_photographs

from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.photographs import Photographs
from lib.synthetic.plan import plan_clip
from lib.synthetic.render import annotate, render
from lib.synthetic.textures import PhotoTextures

PHOTOGRAPHS = Path(__file__).parents[3] / "shared" / "images"
SMALL = ClipOptions(length=12, height=96, width=128, object_size=(0.1, 0.4))


def test_clips_of_images_with_segmentation_masks(tmp_path):
    write_photographs(tmp_path)
    textures = PhotoTextures(tmp_path)
    for seed in range(6):
        clip = render(plan_clip(np.random.default_rng(seed), textures, SMALL))
        assert clip.frames.shape == (12, 96, 128, 3) and clip.visible[0]


def test_clips_of_photographs_without_masks(tmp_path):
    write_photographs(tmp_path)
    for mask in tmp_path.glob("*.png"):
        mask.unlink()
    textures = PhotoTextures(tmp_path)
    for seed in range(4):
        assert render(plan_clip(np.random.default_rng(seed), textures, SMALL)).visible[0]
    assert textures.region(np.random.default_rng(0)).image.shape == (120, 160, 3)


def test_look_alikes_are_of_the_same_image_or_its_neighbours(tmp_path):
    """Each photograph's segment has a grey level of its own."""
    for number in range(30):
        image = np.full((60, 80, 3), 8 * number, np.uint8)
        mask = np.zeros((60, 80), np.uint8)
        mask[20:50, 20:60] = 255
        cv2.imwrite(str(tmp_path / f"{number:02d}.jpg"), image)
        cv2.imwrite(str(tmp_path / f"{number:02d}.png"), mask)
    textures, apart = PhotoTextures(tmp_path), set()
    for seed in range(60):
        levels = [c.rgb.mean() / 8 for c in textures.cutouts(np.random.default_rng(seed), 3)]
        apart |= {round(abs(level - levels[0])) for level in levels[1:]}
    assert {0, 1, 5} <= apart and not apart & set(range(6, 25))  # the list is a ring


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="../shared/images is not here")
def test_real_photographs(tmp_path):
    for path in sorted(PHOTOGRAPHS.iterdir())[:40]:
        (tmp_path / path.name).symlink_to(path)
    textures = PhotoTextures(tmp_path)
    covers = []
    for seed in range(8):
        plan = plan_clip(np.random.default_rng(seed), textures, ClipOptions(length=40))
        clip = render(plan, [0, 20, 39])
        assert clip.visible[0]
        assert clip.frames.std(axis=(1, 2)).min() > 3  # no flat frames
        covers.append(annotate(plan).cover.min())
    assert min(covers) < 0.9  # some are hidden or cut


def test_parts_that_are_empty(tmp_path):
    write_photographs(tmp_path, 1)
    with pytest.raises(FileNotFoundError, match="too few photographs for a part 'train'"):
        PhotoTextures(tmp_path, "train")


# Of the store that textures draw from.


def test_segments_of_a_label_map(tmp_path):
    write_photographs(tmp_path, 1)
    mask = cv2.imread(str(tmp_path / "0.png"), cv2.IMREAD_UNCHANGED)
    mask[50:60, 60:80] = 3
    cv2.imwrite(str(tmp_path / "0.png"), mask)
    photographs = Photographs(tmp_path)
    segments = [photographs.segment(0, i) for i in range(photographs.segment_count(0))]
    ring = next(part for part in segments if part.corner == (50, 40))
    assert ring.alpha.shape == (40, 60)
    assert ring.alpha.min() == 255  # what it encloses belongs to it


def test_an_object_mask_is_one_segment_as_it_is(tmp_path):
    write_photographs(tmp_path, 1)
    mask = np.zeros((120, 160), np.uint8)
    mask[10:110, 20:150] = 255  # larger than a label's segment may be
    cv2.imwrite(str(tmp_path / "0.png"), mask)
    photographs = Photographs(tmp_path)
    assert photographs.segment_count(0) == 1
    assert photographs.segment(0, 0).corner == (20, 10)
    assert photographs.segment(0, 0).alpha.shape == (100, 130)


def test_decoded_once_and_again_when_files_change(tmp_path, monkeypatch):
    write_photographs(tmp_path, 2)
    first = Photographs(tmp_path)
    assert first.names == ["0", "1"] and first.image(1).shape == (120, 160, 3)
    with monkeypatch.context() as patch:
        patch.setattr("lib.synthetic.photographs.read_rgb", None)  # not called
        again = Photographs(tmp_path)
    assert np.array_equal(first.image(1), again.image(1))
    (tmp_path / "1.png").unlink()
    assert Photographs(tmp_path).segment_count(1) == 0
    assert first.segment_count(1) == 1  # whoever mapped the files before still has them
    assert np.array_equal(first.image(1), again.image(1))
    assert [path.name for path in (tmp_path / ".cache").iterdir()] == [
        f"{tmp_path.name}-photographs.photographs"
    ]


def test_a_truncated_photograph_is_left_out(tmp_path, caplog):
    write_photographs(tmp_path, 3)
    data = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "1.jpg").write_bytes(data[: len(data) // 2])
    assert Photographs(tmp_path).names == ["0", "2"]
    assert "photograph left out" in caplog.text and "1.jpg" in caplog.text


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no \*.jpg; photographs are needed"):
        Photographs(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere: no \*.jpg"):
        Photographs(tmp_path / "nowhere")
    (tmp_path / "0.jpg").write_bytes(b"nothing")
    with pytest.raises(FileNotFoundError, match="none of its photographs can be read"):
        Photographs(tmp_path)


def test_a_mask_that_cannot_be_used_is_left_out(tmp_path, caplog):
    write_photographs(tmp_path, 6)
    cv2.imwrite(str(tmp_path / "0.png"), np.ones((10, 12), np.uint8))
    cv2.imwrite(str(tmp_path / "1.png"), np.ones((120, 160, 3), np.uint8))
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:99])
    (tmp_path / "3.png").write_bytes(b"")
    (tmp_path / "4.png").unlink()
    os.mkfifo(tmp_path / "4.png")
    photographs = Photographs(tmp_path)
    counts = [photographs.segment_count(number) for number in range(6)]
    assert photographs.names == list("012345") and counts[:5] == [0] * 5 and counts[5] > 0
    for text in (
        "0.png: the mask is 12x10 pixels, its image 160x120",
        "1.png: not a segmentation mask (one channel",
        "2.png: not a segmentation mask",
        "3.png: not a segmentation mask",
        "4.png: not a regular file",
    ):
        assert caplog.text.count(text) == 1


def test_what_systems_leave_is_no_photograph(tmp_path):
    write_photographs(tmp_path, 2)
    (tmp_path / "._1.jpg").write_bytes(b"Mac OS X")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert Photographs(tmp_path).names == ["0", "1"]
