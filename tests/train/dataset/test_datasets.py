"""Guards every layout: its loader gives what was written, from folders and packed files."""

import json
from pathlib import Path

import numpy as np
import pytest
from layouts import write_coco, write_trackingnet
from PIL import ExifTags, Image

from lib.io.layouts import write_got10k, write_lasot
from lib.io.store import open_store, pack_lmdb
from lib.synthetic.clip_options import ClipOptions
from lib.train.dataset import DATASETS, BaseDataset, build_dataset
from lib.train.dataset.benchmarks import Lasot
from lib.train.dataset.demo import DemoSize, make_demo
from tests.train.clips import HEIGHT, WIDTH, found_at, make_clip

CLIPS = {"b-2": make_clip(9, 1, hidden=(3,)), "a-1": make_clip(12, 2)}


def _write_own_video(root: Path) -> None:
    """Frames beside and below the annotation, numbered without leading zeros, another extension."""
    write_trackingnet(root / "x", CLIPS)
    for name, folder in (("b-2", "img"), ("a-1", ".")):
        (root / name / folder).mkdir(parents=True)
        for frame in (root / "x" / "TRAIN_0" / "frames" / name).iterdir():
            frame.rename(root / name / folder / f"shot{frame.stem}.JPEG")
        (root / "x" / "TRAIN_0" / "anno" / f"{name}.txt").rename(root / name / "groundtruth.txt")
    for folder in sorted((root / "x").rglob("*"), reverse=True):
        folder.rmdir()
    (root / "x").rmdir()
    (root / "notes.txt").write_text("not a sequence")


def _write_own_images(root: Path) -> None:
    write_coco(root, CLIPS)
    (root / "annotations" / "instances_train2017.json").rename(root / "annotations.json")
    (root / "annotations").rmdir()
    (root / "images" / "train2017").rename(root / "moved")
    (root / "images").rmdir()
    (root / "moved").rename(root / "images")


def _write_trackingnet(root: Path) -> None:
    for number in range(12):
        clip = make_clip(64, number, hidden=(30,) if number == 2 else ())
        write_trackingnet(root, {f"id{number}": clip}, split=f"TRAIN_{number}")


WRITERS = {
    "GOT10K_val": lambda root: write_got10k(root, CLIPS.items(), split="val"),
    "COCO17": lambda root: write_coco(root, CLIPS),
    "TRACKINGNET": _write_trackingnet,
    "OWN_VIDEO": _write_own_video,
    "OWN_IMAGES": _write_own_images,
}


@pytest.mark.parametrize("name", WRITERS)
def test_packed_set_equals_folder(name: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    WRITERS[name](root)
    plain = build_dataset(name, lambda setting: found_at(root))
    pack_lmdb(root, tmp_path / "data.lmdb", progress=lambda size: None)
    packed = build_dataset(name, lambda setting: found_at(tmp_path / "data.lmdb"))
    assert len(plain) == len(packed) > 0
    for sequence in range(len(plain)):
        assert plain.sequence_name(sequence) == packed.sequence_name(sequence)
        assert np.array_equal(plain.boxes(sequence), packed.boxes(sequence))
        assert np.array_equal(plain.visible(sequence), packed.visible(sequence))
        for frame in (0, plain.lengths[sequence] - 1):
            first = plain.read_frame(sequence, frame)
            assert first.shape == (HEIGHT, WIDTH, 3)
            assert np.array_equal(first, packed.read_frame(sequence, frame))


def _check_clip(dataset: BaseDataset, sequence: int, name: str) -> None:
    """Compare a sequence with what was written; JPEGs differ a little."""
    clip = CLIPS[name]
    assert dataset.sequence_name(sequence).endswith(name)
    assert np.array_equal(dataset.boxes(sequence), clip.boxes_xywh)
    assert np.array_equal(dataset.visible(sequence), clip.visible)
    assert dataset.lengths[sequence] == len(clip.frames)
    assert dataset.visible_counts[sequence] == clip.visible.sum()
    for number, frame in enumerate(clip.frames):
        read = dataset.read_frame(sequence, number)
        others = clip.frames[(number + 1) % len(clip.frames)]
        distance = np.abs(read.astype(int) - frame).mean()
        assert distance < 15 < np.abs(read.astype(int) - others).mean()


def test_lasot(tmp_path: Path) -> None:
    write_lasot(tmp_path, CLIPS.items())
    dataset = Lasot("LASOT", open_store(tmp_path), list(CLIPS))
    assert dataset.is_video and len(dataset) == 2
    for sequence, name in enumerate(CLIPS):
        _check_clip(dataset, sequence, name)


def test_lasot_flags_hide_frames_that_have_a_box(tmp_path: Path) -> None:
    write_lasot(tmp_path, CLIPS.items())
    folder = tmp_path / "a" / "a-1"
    (folder / "full_occlusion.txt").write_text("1,0,0,0,0,0,0,0,0,0,0,0\n")
    (folder / "out_of_view.txt").write_text("0,0,0,0,0,1,0,0,0,0,0,0\n")
    dataset = Lasot("LASOT", open_store(tmp_path), ["a-1"])
    assert np.flatnonzero(~dataset.visible(0)).tolist() == [0, 5]


@pytest.mark.parametrize("name", ["GOT10K_val", "OWN_VIDEO"])
def test_video_folders(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    dataset = build_dataset(name, lambda setting: found_at(tmp_path))
    for sequence in range(2):
        _check_clip(dataset, sequence, dataset.sequence_name(sequence))


def test_got10k_labels_hide_frames_that_have_a_box(tmp_path: Path) -> None:
    write_got10k(tmp_path, CLIPS.items(), split="val")
    (tmp_path / "val" / "a-1" / "absence.label").write_text("0\n1\n" + "0\n" * 10)
    (tmp_path / "val" / "a-1" / "cover.label").write_text("8\n8\n0\n" + "1\n" * 9)
    dataset = build_dataset("GOT10K_val", lambda setting: found_at(tmp_path))
    sequence = [dataset.sequence_name(i) for i in range(2)].index("a-1")
    assert np.flatnonzero(~dataset.visible(sequence)).tolist() == [1, 2]


def test_trackingnet_shows_every_30th_frame_and_the_last(tmp_path: Path) -> None:
    _write_trackingnet(tmp_path)
    dataset = build_dataset("TRACKINGNET", lambda setting: found_at(tmp_path))
    names = [dataset.sequence_name(i) for i in range(len(dataset))]
    assert names == [f"TRAIN_{number}/id{number}" for number in range(12)]
    assert np.flatnonzero(dataset.visible(0)).tolist() == [0, 30, 60, 63]
    assert np.flatnonzero(dataset.visible(2)).tolist() == [0, 60, 63]
    assert dataset.frame_path(3, 60) == "TRAIN_3/frames/id3/60.jpg"


def test_coco_objects_without_crowds(tmp_path: Path) -> None:
    write_coco(tmp_path, CLIPS)
    path = tmp_path / "annotations" / "instances_train2017.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["iscrowd"] = 1
    content["annotations"][1]["bbox"][2] = 0
    path.write_text(json.dumps(content))
    dataset = build_dataset("COCO17", lambda setting: found_at(tmp_path))
    assert not dataset.is_video
    assert len(dataset) == 20 - 1  # 8 + 12 visible frames, one of them a crowd
    assert (dataset.lengths == 1).all()
    assert np.flatnonzero(dataset.visible_counts == 0).tolist() == [0]  # no width
    box = content["annotations"][2]["bbox"]
    assert dataset.boxes(1).tolist() == [box]
    assert dataset.read_frame(1, 0).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("stated", ["stored", "turned"])
def test_coco_boxes_are_of_the_image_of_the_stated_size(stated: str, tmp_path: Path) -> None:
    write_coco(tmp_path, CLIPS)
    path = tmp_path / "annotations" / "instances_train2017.json"
    content = json.loads(path.read_text())
    image = content["images"][0]
    if stated == "turned":
        image["width"], image["height"] = HEIGHT, WIDTH
    path.write_text(json.dumps(content))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    file = tmp_path / "images" / "train2017" / image["file_name"]
    Image.open(file).copy().save(file, exif=exif)
    dataset = build_dataset("COCO17", lambda setting: found_at(tmp_path))
    assert dataset.read_frame(0, 0).shape[:2] == (image["height"], image["width"])


@pytest.mark.parametrize("width", [None, "wide", 2**40, -1, float("nan")])
def test_coco_size_that_is_no_number_is_not_stated(width: object, tmp_path: Path) -> None:
    write_coco(tmp_path, CLIPS)
    path = tmp_path / "annotations" / "instances_train2017.json"
    content = json.loads(path.read_text())
    content["images"][0]["width"] = width
    path.write_text(json.dumps(content))
    dataset = build_dataset("COCO17", lambda setting: found_at(tmp_path))
    assert dataset.read_frame(0, 0).shape == (HEIGHT, WIDTH, 3)


def test_demo_is_made_once_and_follows_from_its_seeds(tmp_path: Path) -> None:
    size = DemoSize(train=2, val=1, options=ClipOptions(length=3, height=72, width=96))
    for place in ("one", "two"):
        make_demo(tmp_path / place, size)
    make_demo(tmp_path / "one", size._replace(train=5))  # is there: left alone
    one, two = (
        build_dataset("DEMO", lambda setting, place=place: found_at(tmp_path / place))
        for place in ("one", "two")
    )
    assert len(one) == len(two) == 2
    assert np.array_equal(one.boxes(1), two.boxes(1))
    assert np.array_equal(one.read_frame(1, 2), two.read_frame(1, 2))
    held_out = build_dataset("DEMO_VAL", lambda setting: found_at(tmp_path / "one"))
    assert len(held_out) == 1
    assert not np.array_equal(one.read_frame(0, 0), held_out.read_frame(0, 0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_published_recipes_name_known_sets() -> None:
    assert {"LASOT", "GOT10K_vottrain", "GOT10K_train_full", "COCO17", "TRACKINGNET"} <= set(
        DATASETS
    )
