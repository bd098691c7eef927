"""Guards users of a wrong data set: what is wrong is said by name, all of it at once."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from layouts import write_coco, write_trackingnet
from own_sets import write_boxes, write_folders, write_images

from lib.io.layouts import write_got10k, write_lasot
from lib.io.store import open_store
from lib.train.data.processing import SearchConfig
from lib.train.data.random_boxes import Jitter
from lib.train.data.sampler import TrackingSampler
from lib.train.dataset import DatasetError, build_dataset, splits
from lib.train.dataset.benchmarks import Got10k, Lasot
from lib.train.dataset.splits import got10k_names, read_split
from tests.train.clips import found_at, make_clip

NAMES = [f"car-{number}" for number in range(1, 9)]


@pytest.fixture
def lasot(tmp_path: Path) -> Path:
    """Eight sequences of five frames."""
    write_lasot(tmp_path, [(name, make_clip(5)) for name in NAMES])
    return tmp_path / "car"


def _open(lasot: Path) -> Lasot:
    return Lasot("LASOT", open_store(lasot.parent), NAMES)


def _drop_line(path: Path) -> None:
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")


def test_annotation_of_another_length(lasot: Path) -> None:
    _drop_line(lasot / "car-3" / "groundtruth.txt")
    (lasot / "car-3" / "full_occlusion.txt").write_text("0,0,0,0")
    (lasot / "car-3" / "out_of_view.txt").write_text("0,0,0,0")
    with pytest.raises(
        DatasetError, match=r"(?s)LASOT: 1 of 8.*car-3: 4 boxes, but 5 frames "
    ) as e:
        _open(lasot)
    assert str(lasot / "car-3" / "img") in str(e.value)


def test_flags_of_another_length(lasot: Path) -> None:
    (lasot / "car-1" / "out_of_view.txt").write_text("0,0,0")
    with pytest.raises(DatasetError, match=r"car-1: 5 boxes, but 3 flags in .*out_of_view\.txt"):
        _open(lasot)


def test_line_that_is_no_box(lasot: Path) -> None:
    (lasot / "car-1" / "groundtruth.txt").write_text("1,2,3,4\n" * 3 + "1,2,x,4\n1,2,3,4\n")
    with pytest.raises(DatasetError, match=r"groundtruth\.txt, line 4: 'x' is not a number"):
        _open(lasot)


def test_sequences_without_frames_are_counted(
    lasot: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("lists")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    for name in NAMES[:7]:
        for frame in (lasot / name / "img").iterdir():
            frame.unlink()
    (lasot / "car-2" / "img").rmdir()
    with pytest.raises(DatasetError, match="7 of 8 sequences cannot be used") as error:
        _open(lasot)
    lines = str(error.value).splitlines()
    (listed,) = folder.iterdir()
    assert len(lines) == 1 + 5 + 1
    assert lines[-1].strip() == f"... and 2 more; all are in {listed}"
    assert all("no frames in" in line for line in lines[1:6])
    assert [line[:5] for line in listed.read_text().splitlines()] == NAMES[:7]
    assert not (lasot.parent / ".cache").exists()  # no index


def test_frames_numbered_from_elsewhere(lasot: Path) -> None:
    folder = lasot / "car-1" / "img"
    (folder / "00000001.jpg").rename(folder / "00000000.jpg")
    with pytest.raises(DatasetError, match=r"car-1: no frame 00000001\.jpg in "):
        _open(lasot)


def test_data_set_that_is_not_there_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"LASOT: no folder .*absent \(from AIATRACK_TEST_DIR in the env"
    ):
        build_dataset("LASOT", lambda setting: found_at(tmp_path / "absent"))


def test_half_extracted_set_names_the_file_and_the_setting(lasot: Path) -> None:
    match = r"(?s)LASOT: 1114 of 1120 .*airplane-2/groundtruth\.txt.* all are in .*AIATRACK_TEST"
    with pytest.raises(DatasetError, match=match):
        build_dataset("LASOT", lambda setting: found_at(lasot.parent))


def test_missing_part_of_trackingnet(tmp_path: Path) -> None:
    (tmp_path / "TRAIN_0" / "anno").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"TRACKINGNET: .*TRAIN_1/anno.* TRACKINGNET_0_3 "):
        build_dataset("TRACKINGNET", lambda setting: found_at(tmp_path))


def test_a_part_of_trackingnet_that_the_recipe_asks_for(tmp_path: Path) -> None:
    for number in range(4):
        write_trackingnet(tmp_path, {f"id{number}": make_clip(31)}, split=f"TRAIN_{number}")
    dataset = build_dataset("TRACKINGNET_0_3", lambda setting: found_at(tmp_path))
    assert [dataset.sequence_name(i) for i in range(4)] == [f"TRAIN_{n}/id{n}" for n in range(4)]
    assert len(build_dataset("TRACKINGNET_2_2", lambda setting: found_at(tmp_path))) == 1
    for name, error in (("TRACKINGNET_0_4", FileNotFoundError), ("TRACKINGNET_3_1", ValueError)):
        with pytest.raises(error, match=name):
            build_dataset(name, lambda setting: found_at(tmp_path))


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match=r"no data set 'LaSOT'; there are: LASOT, GOT10K_vottrain"):
        build_dataset("LaSOT", found_at)


def test_missing_split_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(splits, "SPECS", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no split table .*lasot_train_split\.txt"):
        read_split("lasot_train_split")


def test_list_shorter_than_its_split(tmp_path: Path) -> None:
    write_got10k(tmp_path, [("a", make_clip(5))])
    with pytest.raises(DatasetError, match=r"list\.txt names 1 sequences; .* needs 9335"):
        build_dataset("GOT10K_train_full", lambda setting: found_at(tmp_path))


def test_missing_images_of_coco(tmp_path: Path) -> None:
    write_coco(tmp_path, {"a": make_clip(5)})
    (tmp_path / "images" / "train2017" / "000000000002.jpg").unlink()
    with pytest.raises(DatasetError, match=r"1 of 5 images are not in .* first is 000000000002"):
        build_dataset("COCO17", lambda setting: found_at(tmp_path))


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"annotations": [{"id": 1}]}'])
def test_json_that_is_not_of_coco(content: str, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations.json").write_text(content)
    with pytest.raises(DatasetError, match=r"annotations\.json: not an annotation file of COCO"):
        build_dataset("OWN_IMAGES", lambda setting: found_at(tmp_path))


def test_own_folder_without_annotation(tmp_path: Path) -> None:
    (tmp_path / "walk" / "img").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"OWN_VIDEO: 1 of 1 .*(?s:.*)walk/groundtruth\.txt"):
        build_dataset("OWN_VIDEO", lambda setting: found_at(tmp_path))


Edit = Callable[[dict], object]
TEN = list(range(10))  # objects, one of each image
COCO_EDITS: list[tuple[Edit, list[int], str]] = [  # which objects are left, and what is said
    (lambda c: [a.pop("iscrowd") for a in c["annotations"]], TEN, ""),
    (lambda c: [a.update(image_id=str(a["image_id"])) for a in c["annotations"]], TEN, ""),
    (lambda c: [a.update(id=f"object-{a['id']}") for a in c["annotations"]], TEN, ""),
    (lambda c: [a.pop("id") for a in c["annotations"]], TEN, ""),
    (lambda c: [a.update(id=0) for a in c["annotations"]], TEN, "10 annotations with an id that"),
    (lambda c: c["annotations"][1].update(id=1), TEN, "2 annotations with an id that another has"),
    (lambda c: c["annotations"][1].pop("bbox"), [0, *TEN[2:]], "1 annotations without a box"),
    (lambda c: c["annotations"][1].update(bbox=[]), [0, *TEN[2:]], "1 annotations without a box"),
    (lambda c: c["annotations"][1].update(image_id=[2]), [0, *TEN[2:]], "[1].image_id: [2]"),
    (lambda c: c["images"].pop(), TEN[:9], "1 annotations of an image that is not in 'images'"),
    (lambda c: c["images"][0].pop("file_name"), TEN[1:], "images[0].file_name: null"),
    (lambda c: c["images"][0].update(file_name="no.jpg"), TEN[1:], "1 of 10 images are not in"),
    (lambda c: [i.update(file_name="images\\" + i["file_name"]) for i in c["images"]], TEN, ""),
]


@pytest.mark.parametrize(("edit", "left", "note"), COCO_EDITS)
def test_bad_entries_of_own_images_are_left_out(
    edit: Edit, left: list[int], note: str, tmp_path: Path
) -> None:
    write_coco(tmp_path / "coco", {"a": make_clip(10)})
    (tmp_path / "coco" / "images" / "train2017").rename(tmp_path / "images")
    path = tmp_path / "annotations.json"
    (tmp_path / "coco" / "annotations" / "instances_train2017.json").rename(path)
    content = json.loads(path.read_text())
    boxes = [entry["bbox"] for entry in content["annotations"]]
    edit(content)
    path.write_text(json.dumps(content))
    for _ in range(2):  # what is left out is said again: it is not cached
        dataset = build_dataset("OWN_IMAGES", lambda setting: found_at(tmp_path))
        assert [dataset.boxes(i)[0].tolist() for i in range(len(dataset))] == [
            boxes[number] for number in left
        ]
        assert len({dataset.sequence_name(i) for i in range(len(dataset))}) == len(left)
        assert dataset.read_frame(0, 0).ndim == 3
        assert note in " ".join(dataset.notes) and bool(dataset.notes) == bool(note)


@pytest.mark.parametrize("side", [1e6, 1e38, 1e308])
def test_a_mistyped_box_is_drawn_again(side: float, tmp_path: Path) -> None:
    write_got10k(tmp_path, [("a", make_clip(25))])
    path = tmp_path / "train" / "a" / "groundtruth.txt"
    lines = path.read_text().splitlines()
    for number in range(0, 25, 2):
        lines[number] = f"5,5,{side:g},{side:g}"
    path.write_text("\n".join(lines))
    dataset = Got10k("GOT", open_store(tmp_path), ["a"], "train")
    config = SearchConfig(64, 5.0, Jitter(0, 0), Jitter(3, 0.25))
    sampler = TrackingSampler([dataset], [1], config, max_gap=25)
    samples = [sampler.draw(np.random.default_rng(seed)) for seed in range(20)]
    assert all(np.isfinite(sample.boxes.numpy()).all() for sample in samples)
    if side < 1e38:  # the others have no area to begin with
        assert sum(sample.rejected for sample in samples) > 10


def test_one_unreadable_own_entry_does_not_stop_the_set(tmp_path: Path) -> None:
    write_folders(tmp_path)
    (tmp_path / "broken" / "img").mkdir(parents=True)
    os.mkfifo(tmp_path / "broken" / "groundtruth.txt")
    dataset = build_dataset("OWN_VIDEO", lambda setting: found_at(tmp_path))
    assert [dataset.sequence_name(i) for i in range(2)] == ["ride", "walk"] and len(dataset) == 2
    assert "1 of 3 sequences cannot be used" in dataset.notes[0]
    assert "broken: " in dataset.notes[0] and "not a regular file" in dataset.notes[0]
    write_boxes(tmp_path / "broken" / "new.txt", "walk").replace(
        tmp_path / "broken" / "groundtruth.txt"
    )
    write_images(tmp_path / "broken" / "img", "walk")  # mended: it counts at the next start
    assert len(build_dataset("OWN_VIDEO", lambda setting: found_at(tmp_path))) == 3


def test_own_root_without_folders(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="OWN_VIDEO: no sequences under "):
        build_dataset("OWN_VIDEO", lambda setting: found_at(tmp_path))


def test_split_tables() -> None:
    train = read_split("lasot_train_split")
    tests = Path(__file__).parents[3] / "lib/test/evaluation/sequences/lasot_test.txt"
    assert len(train) == len(set(train)) == 1120
    assert len({name.rsplit("-", 1)[0] for name in train}) == 70
    assert not set(train) & set(tests.read_text().split())
    assert {int(name.rsplit("-", 1)[1]) for name in train} == set(range(1, 21))


def test_splits_of_got10k(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    names = [f"GOT-10k_Train_{number:06d}" for number in range(1, 9336)]
    (tmp_path / "train" / "list.txt").write_text("\n".join(names))
    store = open_store(tmp_path)
    full = got10k_names(store, "train", "got10k_train_split")
    part = got10k_names(store, "train", "got10k_vot_train_split")
    rest = got10k_names(store, "train", "got10k_train_split", less="got10k_vot_train_split")
    assert sorted(full) == names
    assert (len(part), len(rest)) == (7086, 2249)
    assert sorted(part + rest) == names
    assert part[0] == "GOT-10k_Train_003785"  # the table counts from 0


def test_coco_needs_objects(tmp_path: Path) -> None:
    write_coco(tmp_path, {"a": make_clip(2)})
    path = tmp_path / "annotations" / "instances_train2017.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "annotations": []}))
    with pytest.raises(DatasetError, match="COCO17: no objects in "):
        build_dataset("COCO17", lambda setting: found_at(tmp_path))
