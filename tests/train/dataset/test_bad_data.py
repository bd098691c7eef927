"""Guards users of a wrong data set: what is wrong is said by name, all of it at once."""

import json
from pathlib import Path

import pytest
from layouts import write_coco, write_lasot

from lib.io.store import open_store
from lib.synthetic.layouts import write_got10k
from lib.train.dataset import DatasetError, build_dataset, splits
from lib.train.dataset.benchmarks import Lasot
from lib.train.dataset.splits import got10k_names, read_split
from tests.train.clips import found_at, make_clip

NAMES = [f"car-{number}" for number in range(1, 9)]


@pytest.fixture
def lasot(tmp_path: Path) -> Path:
    """Eight sequences of five frames."""
    write_lasot(tmp_path, {name: make_clip(5) for name in NAMES})
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


def test_sequences_without_frames_are_counted(lasot: Path) -> None:
    for name in NAMES[:7]:
        for frame in (lasot / name / "img").iterdir():
            frame.unlink()
    (lasot / "car-2" / "img").rmdir()
    with pytest.raises(DatasetError, match="7 of 8 sequences cannot be used") as error:
        _open(lasot)
    lines = str(error.value).splitlines()
    assert len(lines) == 1 + 5 + 1 and lines[-1].strip() == "... and 2 more"
    assert all("no frames in" in line for line in lines[1:6])
    assert not (lasot.parent / ".cache").exists()


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
    with pytest.raises(FileNotFoundError, match=r"LASOT: .*airplane-2/groundtruth\.txt.*AIATRACK"):
        build_dataset("LASOT", lambda setting: found_at(lasot.parent))


def test_missing_part_of_trackingnet(tmp_path: Path) -> None:
    (tmp_path / "TRAIN_0" / "anno").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"TRACKINGNET: .*TRAIN_1/anno"):
        build_dataset("TRACKINGNET", lambda setting: found_at(tmp_path))


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
    (tmp_path / "walk").mkdir()
    with pytest.raises(FileNotFoundError, match=r"OWN_VIDEO: .*walk/groundtruth\.txt"):
        build_dataset("OWN_VIDEO", lambda setting: found_at(tmp_path))


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
