"""Guards users' own sequences: four formats, one content; errors name the line."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_videos import write_numbered
from own_sets import COUNTS, FORMATS, boxes_of, write_boxes, write_coco, write_csv, write_folders

from lib.io.own_data import own_boxes, own_frames, own_lists, own_sequences
from lib.io.store import Store, open_store, pack_lmdb


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
]
BAD_ROWS = [  # what stands after a good row: the sequence that it is, and what is said of it
    (["", "b,c"], "b", r"sequences\.csv, line 4: 2 cells, expected 3"),
    (["", ",b,c"], "line 4", r"line 4: name is empty"),
    (["bad,,c"], "bad", r"line 3: frames is empty"),
    (["a/b,c,d"], "a-b", r"line 3: sequence name 'a/b': / .* cannot be in it"),
    (["a,b,c", "a,d,e"], "a", r"line 4: the name 'a' stands for b and d"),
]


@pytest.mark.parametrize(("write", "message"), BAD_LISTS)
def test_tables_that_are_refused(
    tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    write(tmp_path)
    with pytest.raises(ValueError, match=message):
        own_sequences(open_store(tmp_path))


@pytest.mark.parametrize(("rows", "name", "message"), BAD_ROWS)
def test_a_bad_row_stops_itself_alone(
    tmp_path: Path, rows: list[str], name: str, message: str
) -> None:
    csv_of(HEAD, "my walk (1),clips/a b.avi,boxes/walk.csv", *rows)(tmp_path)
    store = open_store(tmp_path)
    sequences = own_sequences(store)
    assert list(sequences) == ["my walk (1)", name]
    assert len(own_boxes(store, sequences["my walk (1)"])) == COUNTS["walk"]
    for read in (own_boxes, own_frames):
        with pytest.raises(ValueError, match=message):
            read(store, sequences[name])


def test_folders_that_are_no_sequences(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_folders(tmp_path)
    (tmp_path / "walk").rename(tmp_path / "my walk 1")
    for name in ("notes/more", "@eaDir/walk", "__MACOSX/walk", ".ipynb_checkpoints"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "notes" / "read.txt").write_text("not a sequence")
    (tmp_path / "my walk 1" / "img" / "._shot0.png").write_bytes(b"Mac OS X")
    store = open_store(tmp_path)
    sequences = own_sequences(store)
    assert list(sequences) == ["my walk 1", "ride"]
    assert len(own_frames(store, sequences["my walk 1"])) == COUNTS["walk"]
    skipped = f"{tmp_path / 'notes'}: no frames and no groundtruth.txt: skipped"
    assert [record.getMessage() for record in caplog.records] == [skipped]


def json_with(**changes: object) -> Callable[[dict], None]:
    return lambda content: content.update(changes)


def first(which: str, **changes: object) -> Callable[[dict], None]:
    return lambda content: content[which][0].update(changes)


def without(which: str, key: str) -> Callable[[dict], None]:
    return lambda content: content[which][0].pop(key) and None


BAD_JSON = [
    (json_with(videos=[]), r"no 'videos' in it: objects of single images are no sequences.*OWN_IM"),
    (json_with(images={}), r"not an annotation file of COCO: no list 'images'"),
    (json_with(annotations=[]), r"no objects in .*annotations\.json"),
    (lambda c: [a.pop("track_id") for a in c["annotations"]], r"no objects in .*; 19 annotations"),
]


@pytest.mark.parametrize(("change", "message"), BAD_JSON)
def test_json_that_is_refused(tmp_path: Path, change: Callable[[dict], None], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        own_sequences(changed_coco(tmp_path, change))
    for text in ("{", "[" * 100_000):
        (tmp_path / "annotations.json").write_text(text)
        with pytest.raises(ValueError, match=r"annotations\.json: .* not JSON"):
            own_sequences(open_store(tmp_path))


def changed_coco(root: Path, change: Callable[[dict], object]) -> Store:
    """Two tracks, walk_7 and ride_8, after a change to their file."""
    write_coco(root)
    path = root / "annotations.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return open_store(root)


BAD_ENTRIES = [  # each leaves the rest as it is, and is named; annotations[0] is of images[0]
    (without("images", "video_id"), "1 images without a video_id .* image 0: null"),
    (first("images", video_id=5), "1 images without a video_id .* image 0: 5"),
    (first("images", video_id=[1]), r"1 images without a video_id .* image 0: \[1\]"),
    (first("images", id=1), r"1 images with an id that another has too, .* images\[1\]\.id: 1"),
    (first("images", file_name=None), r"1 images without a .* images\[0\]\.file_name: null"),
    (
        first("annotations", track_id=[7]),
        r"a usable track_id, .* annotations\[0\]\.track_id: \[7\]",
    ),
    (
        first("annotations", image_id=[0]),
        r"a usable image_id, .* annotations\[0\]\.image_id: \[0\]",
    ),
    (first("annotations", image_id=99), r"1 annotations of an image that is not in .*\[0\]: 99"),
    (first("annotations", bbox=[1, 2, 3]), r"1 annotations whose bbox is not .*: \[1, 2, 3\]"),
    (first("annotations", bbox=[1, 2, 3, "4"]), r"1 annotations whose bbox is not x, y, w, h"),
    (
        first("annotations", bbox=[1, 2, 3, 10**400]),
        r"1 annotations whose bbox .*\[1, 2, 3, 10+ \.\.\.",
    ),
    (without("annotations", "bbox"), r"1 annotations without a box, the first is annotations\[0\]"),
    (lambda c: c["annotations"].append(7), r"1 annotations that are no entries, .*\[19\]: 7"),
    (
        lambda c: c["annotations"].append(c["annotations"][0]),
        r"1 annotations of a track that has a box in that image already, .*track 7, image 0",
    ),
]


@pytest.mark.parametrize(("change", "message"), BAD_ENTRIES)
def test_a_bad_entry_is_left_out_and_named(
    tmp_path: Path,
    change: Callable[[dict], None],
    message: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = changed_coco(tmp_path, change)
    sequences = own_sequences(store)
    assert {"walk_7", "ride_8"} == set(sequences)
    np.testing.assert_array_equal(own_boxes(store, sequences["ride_8"]), boxes_of("ride"))
    kept = own_boxes(store, sequences["walk_7"])
    assert len(own_frames(store, sequences["walk_7"])) == len(kept) >= COUNTS["walk"] - 2
    assert re.search(message, caplog.text)


def ids_as_text(content: dict) -> None:
    for name, keys in (("images", ("id", "frame_id")), ("annotations", ("image_id", "track_id"))):
        for entry in content[name]:
            entry.update({key: str(entry[key]) for key in keys})


def ids_as_fractions(content: dict) -> None:
    for entry in content["images"]:
        entry["video_id"] = float(entry["video_id"])  # as pandas writes a column with a gap


def names_with(change: Callable[[str], str]) -> Callable[[dict], None]:
    return lambda c: [i.update(file_name=change(i["file_name"])) for i in c["images"]] and None


SAME_MEANING = [
    ids_as_text,
    ids_as_fractions,
    names_with(lambda name: f"images/{name}"),
    names_with(lambda name: name.replace("/", "\\")),
    names_with(lambda name: f"./{name}"),
    names_with(lambda name: f"walk/../{name}"),
]


@pytest.mark.parametrize("change", SAME_MEANING)
def test_spellings_that_mean_the_same(
    tmp_path: Path, change: Callable[[dict], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Frames 10 and 11 come after 9, whether numbers are written as texts or not."""
    store = changed_coco(tmp_path, change)
    sequence = own_sequences(store)["walk_7"]
    np.testing.assert_array_equal(own_boxes(store, sequence), boxes_of("walk"))
    assert own_frames(store, sequence) == [f"images/walk/shot{n}.png" for n in range(12)]
    assert not caplog.text


def test_images_by_absolute_path(tmp_path: Path) -> None:
    store = changed_coco(tmp_path, names_with(lambda name: str(tmp_path / "images" / name)))
    assert len(own_frames(store, own_sequences(store)["walk_7"])) == COUNTS["walk"]


def test_tracks_of_one_name_are_told_apart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def change(content: dict) -> None:
        content["videos"][0]["name"] = "ride"
        for entry in content["annotations"]:
            entry["track_id"] = 1

    store = changed_coco(tmp_path, change)
    sequences = own_sequences(store)
    assert {n: len(own_boxes(store, s)) for n, s in sequences.items()} == {
        "ride_1": COUNTS["walk"],
        "ride_1-2": COUNTS["ride"],
    }
    assert "1 tracks with a name that another has too, the first is ride_1, now ride_1-2" in (
        caplog.text
    )


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
    write_boxes(tmp_path / "twice" / "walk" / "groundtruth.txt", "walk")
    store = open_store(tmp_path / "twice")
    with pytest.raises(ValueError, match=r"the name 'walk' stands for walk and walk\.mp4"):
        own_boxes(store, own_sequences(store)["walk"])


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
