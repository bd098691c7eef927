"""Guards users' own sequences: four formats, one content; errors name the line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_videos import write_numbered
from own_sets import COUNTS, FORMATS, boxes_of, write_boxes, write_coco, write_csv

from lib.io.own_data import own_boxes, own_frames, own_lists, own_sequences
from lib.io.store import open_store, pack_lmdb


@pytest.mark.parametrize("kind", FORMATS)
def test_four_formats_hold_the_same(tmp_path: Path, kind: str) -> None:
    write, names = FORMATS[kind]
    write(tmp_path)
    store = open_store(tmp_path)
    sequences = own_sequences(store)
    assert set(sequences) == set(names.values())
    for name, called in names.items():
        np.testing.assert_array_equal(own_boxes(store, sequences[called]), boxes_of(name))
        frames = own_frames(store, sequences[called])
        assert len(frames) == COUNTS[name]
        assert all((tmp_path / frame).is_file() for frame in frames)


def test_tracks_begin_where_they_are_annotated(tmp_path: Path) -> None:
    """A second object of `walk` in images 3 and 5 only."""
    write_coco(tmp_path)
    path = tmp_path / "annotations.json"
    content = json.loads(path.read_text())
    ids = {image["file_name"]: image["id"] for image in content["images"]}
    content["annotations"] += [
        {"image_id": ids[f"walk/shot{n}.png"], "instance_id": "b/1", "bbox": [1, 2, 3, n]}
        for n in (3, 5)
    ]
    content["annotations"].append(content["annotations"][0] | {"iscrowd": 1})  # left out
    for image in content["images"]:
        del image["frame_id"]  # then by the numbers in their names
    path.write_text(json.dumps(content))
    store = open_store(tmp_path)
    sequence = own_sequences(store)["walk_b-1"]
    boxes = own_boxes(store, sequence)
    assert own_frames(store, sequence) == [f"images/walk/shot{n}.png" for n in range(3, 12)]
    assert boxes[[0, 2]].tolist() == [[1, 2, 3, 3], [1, 2, 3, 5]]
    assert np.flatnonzero(np.isfinite(boxes[:, 0])).tolist() == [0, 2]


def test_an_empty_root_has_none(tmp_path: Path) -> None:
    assert own_sequences(open_store(tmp_path)) == {} and own_lists(open_store(tmp_path)) == []


def csv_of(*lines: str) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        write_csv(root)
        (root / "sequences.csv").write_text("\n".join(lines))

    return write


HEAD = "name,frames,boxes"
BAD_LISTS = [
    (csv_of("walk,clips/ride,boxes/walk.csv"), r"line 1: a header .*name,frames,boxes is needed"),
    (csv_of(""), r"line 1: a header .*; given: nothing"),
    (csv_of(HEAD, "a,b,c", "", "b,c"), r"sequences\.csv, line 4: 2 cells, expected 3"),
    (csv_of(HEAD, "a,,c"), r"line 2: frames is empty"),
    (csv_of(HEAD, "a/b,c,d"), r"line 2: sequence name 'a/b': letters, digits"),
    (csv_of(HEAD, "a,b,c", "a,d,e"), r"line 3: the name 'a' stands for b and d"),
]


@pytest.mark.parametrize(("write", "message"), BAD_LISTS)
def test_tables_that_are_refused(
    tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    write(tmp_path)
    with pytest.raises(ValueError, match=message):
        own_sequences(open_store(tmp_path))


def json_with(**changes: object) -> Callable[[dict], None]:
    return lambda content: content.update(changes)


def first(which: str, **changes: object) -> Callable[[dict], None]:
    return lambda content: content[which][0].update(changes)


def without(which: str, key: str) -> Callable[[dict], None]:
    return lambda content: content[which][0].pop(key) and None


BAD_JSON = [
    (json_with(videos=[]), r"no 'videos' in it: objects of single images are no sequences.*OWN_IM"),
    (json_with(images={}), r"no list 'images'; not an annotation file of COCO"),
    (json_with(annotations=[]), r"no objects in it"),
    (without("images", "video_id"), r"images\[0\] has no 'video_id'"),
    (without("annotations", "track_id"), r"annotations\[0\] has no 'track_id'"),
    (first("annotations", bbox=[1, 2, 3]), r"annotations\[0\]: bbox is \[1, 2, 3\]; x, y, w, h"),
    (first("annotations", image_id=99), r"annotations\[0\] is of image 99, which is not in"),
    (first("images", video_id=5), r"image 0 is of video 5, which is not in 'videos'"),
    (lambda c: c["annotations"].append(c["annotations"][0]), r"track 7 has two boxes in image 0"),
    (first("videos", name="ride"), None),  # two videos of one name, told apart by their tracks
]


@pytest.mark.parametrize(("change", "message"), BAD_JSON)
def test_json_that_is_refused(
    tmp_path: Path, change: Callable[[dict], None], message: str | None
) -> None:
    write_coco(tmp_path)
    path = tmp_path / "annotations.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    if message is None:
        assert set(own_sequences(open_store(tmp_path))) == {"ride_7", "ride_8"}
        return
    with pytest.raises(ValueError, match=message):
        own_sequences(open_store(tmp_path))
    path.write_text("{")
    with pytest.raises(ValueError, match=r"annotations\.json: not JSON"):
        own_sequences(open_store(tmp_path))


def test_two_tracks_of_one_name(tmp_path: Path) -> None:
    write_coco(tmp_path)
    text = (tmp_path / "annotations.json").read_text()
    text = text.replace('"ride"}', '"walk"}').replace('"track_id": 8', '"track_id": 7')
    (tmp_path / "annotations.json").write_text(text)
    with pytest.raises(ValueError, match=r"two videos of one name"):
        own_sequences(open_store(tmp_path))


def test_roots_that_are_refused(tmp_path: Path) -> None:
    for inside in ("two", "itself", "twice"):
        (tmp_path / inside).mkdir()
    write_csv(tmp_path / "two")
    write_coco(tmp_path / "two")
    with pytest.raises(ValueError, match=r"two holds sequences\.csv and annotations\.json; one"):
        own_sequences(open_store(tmp_path / "two"))
    write_boxes(tmp_path / "itself" / "groundtruth.txt", "walk")
    with pytest.raises(ValueError, match=r"holds groundtruth\.txt itself.*name the folder above"):
        own_sequences(open_store(tmp_path / "itself"))
    write_numbered(tmp_path / "twice" / "walk.mp4", 2)
    (tmp_path / "twice" / "walk").mkdir()
    with pytest.raises(ValueError, match=r"the name 'walk' stands for walk and walk\.mp4"):
        own_sequences(open_store(tmp_path / "twice"))


def test_what_a_list_names_but_is_not_there(tmp_path: Path) -> None:
    csv_of(HEAD, "a,clips/none.mp4,none.txt", "b,clips/none,boxes/walk.csv")(tmp_path)
    store = open_store(tmp_path)
    a, b = own_sequences(store).values()
    with pytest.raises(FileNotFoundError, match=r"line 2: no video .*clips/none\.mp4"):
        own_frames(store, a)
    with pytest.raises(FileNotFoundError, match=r"line 2: no file of boxes: .*none\.txt"):
        own_boxes(store, a)
    with pytest.raises(FileNotFoundError, match=r"line 3: no folder of images and no video"):
        own_frames(store, b)


def test_missing_images_of_a_track(tmp_path: Path) -> None:
    write_coco(tmp_path)
    (tmp_path / "images" / "walk" / "shot3.png").unlink()
    store = open_store(tmp_path)
    with pytest.raises(ValueError, match=r"1 of 12 images are not there, .*walk/shot3\.png"):
        own_frames(store, own_sequences(store)["walk_7"])


def test_packed(tmp_path: Path) -> None:
    """Folders and COCO are read from a packed file; a video is not."""
    for kind in ("coco", "videos"):
        (tmp_path / kind).mkdir()
        FORMATS[kind][0](tmp_path / kind)
        pack_lmdb(tmp_path / kind, tmp_path / f"{kind}.lmdb", progress=lambda size: None)
    store = open_store(tmp_path / "coco.lmdb")
    assert len(own_frames(store, own_sequences(store)["walk_7"])) == 12
    store = open_store(tmp_path / "videos.lmdb")
    with pytest.raises(ValueError, match="videos cannot be read out of an LMDB file"):
        own_frames(store, own_sequences(store)["walk"])
