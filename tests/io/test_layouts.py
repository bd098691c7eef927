"""Guards clips written as GOT-10k: every file at its place, its text to the letter.

And those written in the other layouts, of the tests' own data sets.
"""

import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from layouts import write_coco, write_got10k_test, write_trackingnet

from lib.io.coco_tracks import read_tracks
from lib.io.layouts import (
    LAYOUTS as WRITTEN,
)
from lib.io.layouts import (
    write_coco_tracks,
    write_got10k,
    write_lasot,
    write_otb,
    write_own,
)
from lib.io.own_data import own_boxes, own_frames, own_sequences
from lib.io.store import FolderStore
from lib.synthetic.render import Clip
from lib.utils.image import read_rgb


def clip_of(length: int = 3, shade: int = 0) -> Clip:
    """Return frames of 24 x 32, each of one grey; frame 1 is hidden, frame 2 out of view."""
    frames = np.zeros((length, 24, 32, 3), np.uint8)
    frames += (shade + 40 * np.arange(length, dtype=np.uint8))[:, None, None, None]
    boxes = np.tile([4.0, 5, 10, 8], (length, 1)) + [[t, 0, 0, 0] for t in range(length)]
    visible, cover = np.ones(length, bool), np.full(length, 0.5)
    visible[1:3], cover[1:3], cover[0] = False, 0.04, 1
    boxes[2:3] = 0
    return Clip(frames, boxes, visible, cover)


def files(root: Path) -> list[str]:
    """List all files below a folder."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


FRAMES_8 = ["00000001.jpg", "00000002.jpg", "00000003.jpg"]
LINES = "4,5,10,8\n5,5,10,8\n0,0,0,0\n"
GOT10K_LINES = (
    "4.0000,5.0000,10.0000,8.0000\n5.0000,5.0000,10.0000,8.0000\n0.0000,0.0000,0.0000,0.0000\n"
)
META = """[METAINFO]
url: composed
begin: 00:00:00
end: 00:00:00
anno_fps: 10Hz
object_class: object
motion_class: moving
major_class: object
root_class: object
motion_adverb: smoothly
resolution: (32, 24)
"""
SEEN = "4,5,10,8\nnan,nan,nan,nan\nnan,nan,nan,nan\n"
LAYOUTS = {  # writer: sequence name, frames, text files
    "own": (
        "walk",
        [f"walk/img/{name}" for name in FRAMES_8],
        {"walk/groundtruth.txt": SEEN},
    ),
    "otb": (
        "Walk-1",
        [f"Walk-1/img/{name[4:]}" for name in FRAMES_8],
        {"Walk-1/groundtruth_rect.txt": SEEN},
    ),
    "lasot": (
        "dog-3",
        [f"dog/dog-3/img/{name}" for name in FRAMES_8],
        {
            "dog/dog-3/groundtruth.txt": LINES,
            "dog/dog-3/full_occlusion.txt": "0,1,0\n",
            "dog/dog-3/out_of_view.txt": "0,0,1\n",
        },
    ),
    "got10k_train": (
        "GOT-10k_Train_000001",
        [f"train/GOT-10k_Train_000001/{name}" for name in FRAMES_8],
        {
            "train/list.txt": "GOT-10k_Train_000001\n",
            "train/GOT-10k_Train_000001/groundtruth.txt": GOT10K_LINES,
            "train/GOT-10k_Train_000001/absence.label": "0\n1\n1\n",
            "train/GOT-10k_Train_000001/cover.label": "8\n0\n0\n",
            "train/GOT-10k_Train_000001/meta_info.ini": META,
        },
    ),
    "got10k_val": (
        "GOT-10k_Val_000001",
        [f"val/GOT-10k_Val_000001/{name}" for name in FRAMES_8],
        {
            "val/list.txt": "GOT-10k_Val_000001\n",
            "val/GOT-10k_Val_000001/groundtruth.txt": GOT10K_LINES,
            "val/GOT-10k_Val_000001/absence.label": "0\n1\n1\n",
            "val/GOT-10k_Val_000001/cover.label": "8\n0\n0\n",
            "val/GOT-10k_Val_000001/meta_info.ini": META,
        },
    ),
    "got10k_test": (
        "GOT-10k_Test_000001",
        [f"test/GOT-10k_Test_000001/{name}" for name in FRAMES_8],
        {
            "test/list.txt": "GOT-10k_Test_000001\n",
            "test/GOT-10k_Test_000001/groundtruth.txt": "4.0000,5.0000,10.0000,8.0000\n",
        },
    ),
    "trackingnet_train": (
        "-3TIfnTSM6c_2",
        [f"TRAIN_0/frames/-3TIfnTSM6c_2/{i}.jpg" for i in range(3)],
        {"TRAIN_0/anno/-3TIfnTSM6c_2.txt": LINES},
    ),
    "trackingnet_test": (
        "-3TIfnTSM6c_2",
        [f"TEST/frames/-3TIfnTSM6c_2/{i}.jpg" for i in range(3)],
        {"TEST/anno/-3TIfnTSM6c_2.txt": "4,5,10,8\n"},
    ),
}
WRITERS = {
    "lasot": lambda root, clips: write_lasot(root, clips.items()),
    "own": lambda root, clips: write_own(root, clips.items()),
    "otb": lambda root, clips: write_otb(root, clips.items()),
    "got10k_train": lambda root, clips: write_got10k(root, clips.items()),
    "got10k_val": lambda root, clips: write_got10k(root, clips.items(), split="val"),
    "got10k_test": write_got10k_test,
    "trackingnet_train": write_trackingnet,
    "trackingnet_test": partial(write_trackingnet, split="TEST"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_of_a_layout(tmp_path, layout):
    name, frames, texts = LAYOUTS[layout]
    clip = clip_of()
    WRITERS[layout](tmp_path, {name: clip})
    assert files(tmp_path) == sorted([*frames, *texts])
    for path, text in texts.items():
        assert (tmp_path / path).read_text() == text
    for path, frame in zip(frames, clip.frames, strict=True):
        np.testing.assert_allclose(read_rgb(tmp_path / path), frame, atol=2)


class Labelled(Clip):
    """A clip that people looked at."""

    checked = np.array([True, False, False])


@pytest.mark.parametrize("layout", WRITTEN)
def test_checked_boxes_are_marked(tmp_path, layout):
    WRITTEN[layout](tmp_path, [("walk-1", Labelled(*clip_of()))])
    if layout == "COCO":
        content = json.loads((tmp_path / "annotations.json").read_text())
        assert [thing["checked"] for thing in content["annotations"]] == [True]
    else:
        (path,) = tmp_path.rglob("checked.txt")
        assert path.read_text() == "1\n0\n0\n"
        assert list(path.parent.glob("groundtruth*.txt"))


def test_coco_tracks_share_the_frames_of_a_video(tmp_path):
    """And are read as users' own data, like own data themselves."""
    one = clip_of()
    two = one._replace(boxes_xywh=one.boxes_xywh + 1, visible=np.array([False, True, True]))
    write_coco_tracks(tmp_path / "coco", [("a", one), ("b", two), ("c", clip_of(2, 100))])
    images = [f"images/{name}" for name in ("a/00000001", "a/00000002", "a/00000003")]
    images += ["images/c/00000001", "images/c/00000002"]
    assert files(tmp_path / "coco") == ["annotations.json", *(f"{image}.jpg" for image in images)]
    path = tmp_path / "coco" / "annotations.json"
    tracks = read_tracks(path.read_text(), path)
    assert {name: len(track.files) for name, track in tracks.items()} == {
        "a_1": 3,
        "a_2": 2,
        "c_3": 2,
    }
    np.testing.assert_array_equal(tracks["a_2"].boxes_xywh, two.boxes_xywh[1:])
    write_own(tmp_path / "own", [("a", one), ("b", two)])
    store = FolderStore(tmp_path / "own")
    sequence = own_sequences(store)["b"]
    expected = [[np.nan] * 4, *two.boxes_xywh[1:]]
    np.testing.assert_array_equal(own_boxes(store, sequence), expected)
    assert len(own_frames(store, sequence)) == 3


def test_coco(tmp_path):
    write_coco(tmp_path, {"a": clip_of(), "b": clip_of(1, 100)})
    images = [f"images/train2017/{i:012d}.jpg" for i in (1, 2, 3, 4)]
    assert files(tmp_path) == ["annotations/instances_train2017.json", *images]
    content = json.loads((tmp_path / "annotations/instances_train2017.json").read_text())
    size = {"height": 24, "width": 32}
    assert content["images"] == [
        {"id": i, "file_name": f"{i:012d}.jpg", **size} for i in (1, 2, 3, 4)
    ]
    assert content["categories"] == [
        {"id": 1, "name": "a", "supercategory": "clip"},
        {"id": 2, "name": "b", "supercategory": "clip"},
    ]
    common = {
        "bbox": [4, 5, 10, 8],
        "area": 80,
        "iscrowd": 0,
        "segmentation": [[4, 5, 14, 5, 14, 13, 4, 13]],
    }
    assert content["annotations"] == [  # images 2 and 3 are invisible
        {"id": 1, "image_id": 1, "category_id": 1, **common},
        {"id": 2, "image_id": 4, "category_id": 2, **common},
    ]


def test_coco_is_read_by_pycocotools(tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    write_coco(tmp_path, {"a": clip_of()})
    opened = coco.COCO(str(tmp_path / "annotations/instances_train2017.json"))
    (annotation,) = opened.loadAnns(opened.getAnnIds())
    assert annotation["bbox"] == [4, 5, 10, 8]
    assert opened.annToMask(annotation).sum() == 80


def test_colours_are_kept(tmp_path):
    clip = clip_of(1)
    clip.frames[:] = [200, 90, 30]
    write_got10k(tmp_path, [("red", clip)])
    read = read_rgb(tmp_path / "train/red/00000001.jpg")
    np.testing.assert_allclose(read, clip.frames[0], atol=4)


def test_got10k_cover_levels(tmp_path):
    cover = [0.1, 0.15, 0.16, 0.45, 0.7, 0.76, 0.95, 1.0]
    ones = np.ones(8, bool)
    clip = Clip(np.zeros((8, 24, 32, 3), np.uint8), np.full((8, 4), 5.0), ones, np.array(cover))
    write_got10k(tmp_path, [("v", clip)], split="val")
    assert (tmp_path / "val/v/cover.label").read_text().split() == list("11235678")


def test_got10k_list_grows_and_holds_a_name_once(tmp_path):
    for names in (["a"], ["b", "c"], ["a"]):
        write_got10k(tmp_path, [(name, clip_of()) for name in names])
    assert (tmp_path / "train/list.txt").read_text() == "a\nb\nc\n"


def test_writing_again_replaces_but_never_leaves_a_longer_clip_behind(tmp_path):
    write_got10k(tmp_path, [("a", clip_of(3))])
    write_got10k(tmp_path, [("a", clip_of(3, 100))])
    assert read_rgb(tmp_path / "train/a/00000001.jpg").mean() == pytest.approx(100, abs=2)
    with pytest.raises(
        FileExistsError, match=r"00000003.jpg is left from a longer sequence; remove"
    ):
        write_got10k(tmp_path, [("a", clip_of(2))])


def test_cut_short_no_annotation(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    encode = cv2.imencode
    written = []

    def some(*arguments: object) -> object:
        written.append(1)
        return encode(*arguments) if len(written) < 3 else full()

    monkeypatch.setattr("lib.utils.image.cv2.imencode", some)
    with pytest.raises(OSError, match="No space left"):
        write_got10k(tmp_path, [("a", clip_of())])
    assert files(tmp_path) == ["train/a/00000001.jpg", "train/a/00000002.jpg"]


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "with space"])
def test_names_that_are_no_file_names(tmp_path, name):
    with pytest.raises(ValueError, match=r"letters, digits, _, - and . are allowed"):
        write_got10k(tmp_path, [(name, clip_of())])
    assert files(tmp_path) == []


def test_clips_whose_parts_do_not_fit(tmp_path):
    clip = clip_of()._replace(boxes_xywh=np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"a: as many boxes and flags as frames are needed, got"):
        write_got10k(tmp_path, [("a", clip)])
    empty = Clip(*(part[:0] for part in clip_of()))
    with pytest.raises(ValueError, match=r"'frames': 0"):
        write_got10k(tmp_path, [("a", empty)])
