"""Guards test sets on disk: what is found, what is refused."""

from pathlib import Path

import numpy as np
import pytest

from lib.test.evaluation.base_set import read_rows
from lib.test.evaluation.data import SequenceError
from lib.test.evaluation.datasets import dataset_key, open_dataset, select_names
from lib.test.evaluation.environment import FOLDERS
from lib.test.evaluation.layouts import LAYOUTS


def lay_out(root: Path, name: str, boxes: int | None = None, frames: int | None = None) -> Path:
    """Put empty frame files and boxes of a table's sequence where its row says."""
    dataset = name.split("_")[0]
    row = read_rows(f"{dataset}.csv")[name]
    start, end = int(row["start"]), int(row["end"])
    folder = root / row["frames"]
    folder.mkdir(parents=True, exist_ok=True)
    for number in list(range(start, end + 1))[:frames]:
        (folder / f"{number:0{row['digits']}d}.{row['ext']}").touch()
    annotation = root / row["annotation"]
    annotation.parent.mkdir(parents=True, exist_ok=True)
    count = end - start + 1 if boxes is None else boxes
    separator = {"otb": ",", "nfs": "\t", "uav": ","}[dataset]
    annotation.write_text(
        "".join(separator.join(map(str, (i, 2, 30, 40))) + "\n" for i in range(count))
    )
    return folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with a folder a set, chosen by AIATRACK_DATA."""
    for _, folder in FOLDERS.values():
        (tmp_path / folder).mkdir(exist_ok=True)
    monkeypatch.setenv("AIATRACK_DATA", str(tmp_path))
    for setting, _ in FOLDERS.values():
        monkeypatch.delenv(f"AIATRACK_{setting.upper()}_DIR", raising=False)
    return tmp_path


def test_every_layout_has_a_folder() -> None:
    assert set(LAYOUTS) == set(FOLDERS)


TABLES = [
    ("otb", "OTB100", "otb_Football1", 74, "Football1/img/0001.jpg"),
    ("otb", "OTB100", "otb_BlurCar3", 357, "BlurCar3/img/0003.jpg"),
    ("nfs", "NFS30", "nfs_Skiing_red", 69, "sequences/Skiing_red/00001.jpg"),
    ("uav", "UAV123", "uav_bike3", 433, "data_seq/UAV123/bike3/000001.jpg"),
]


@pytest.mark.parametrize(("dataset", "folder", "name", "frames", "first"), TABLES)
def test_sequences_of_tables(
    root: Path, dataset: str, folder: str, name: str, frames: int, first: str
) -> None:
    lay_out(root / folder, name)
    sequence = open_dataset(dataset).load(name)
    assert len(sequence.frames) == len(sequence.boxes_xywh) == frames
    assert sequence.frames[0] == root / folder / first
    assert sequence.init_box == [0, 2, 30, 40]


def test_omitted_first_frames(root: Path) -> None:
    """Tiger1's first five frames are not tracked."""
    lay_out(root / "OTB100", "otb_Tiger1")
    sequence = open_dataset("otb").load("otb_Tiger1")
    assert sequence.frames[0].name == "0006.jpg" and len(sequence.frames) == 349
    assert sequence.init_box[0] == 5


SIZES = {"otb": 100, "nfs": 100, "uav": 123, "lasot": 280, "lasot_ext": 150}


@pytest.mark.parametrize("dataset", SIZES)
def test_sizes_of_the_sets(root: Path, dataset: str) -> None:
    names = open_dataset(dataset).names
    assert len(names) == len(set(names)) == SIZES[dataset]


def write_frames(folder: Path, numbers: range, pattern: str) -> None:
    folder.mkdir(parents=True)
    for number in numbers:
        (folder / (pattern % number)).touch()


def leave_system_files(root: Path) -> None:
    """What a Mac, a NAS and an editor leave in every folder; lists as Windows writes them."""
    files = [path for path in root.rglob("*") if path.is_file()]
    for path in files:
        path.with_name(f"._{path.name}").write_bytes(b"Mac OS X")
        (path.parent / "@eaDir").mkdir(exist_ok=True)
    for folder in {path.parent.parent for path in files}:
        (folder / ".ipynb_checkpoints").mkdir(exist_ok=True)
    for path in root.rglob("list.txt"):
        text = "\ufeff" + path.read_text().replace("\n", "\r\n")
        path.write_bytes(text.encode())


def test_folder_layouts(root: Path) -> None:
    write_frames(root / "LaSOT/airplane/airplane-1/img", range(1, 13), "%08d.jpg")
    (root / "LaSOT/airplane/airplane-1/groundtruth.txt").write_text("1,2,3,4\n" * 12)
    write_frames(root / "TrackingNet/TEST/frames/abc_0", range(0, 12), "%d.jpg")
    (root / "TrackingNet/TEST/anno").mkdir()
    (root / "TrackingNet/TEST/anno/abc_0.txt").write_text("1,2,3,4\n")
    write_frames(root / "GOT10k/test/GOT-10k_Test_000001", range(1, 13), "%08d.jpg")
    (root / "GOT10k/test/list.txt").write_text("GOT-10k_Test_000001\n")
    (root / "GOT10k/test/GOT-10k_Test_000001/groundtruth.txt").write_text("1,2,3,4\n")
    write_frames(root / "own/cat", range(1, 13), "frame%d.png")
    (root / "own/cat/groundtruth.txt").write_text("1 2 3 4\n")
    leave_system_files(root)
    for dataset, name in (
        ("lasot", "airplane-1"),
        ("trackingnet", "abc_0"),
        ("got10k_test", "GOT-10k_Test_000001"),
        ("own", "cat"),
    ):
        assert dataset == "lasot" or open_dataset(dataset).names == (name,)
        sequence = open_dataset(dataset).load(name)
        assert len(sequence.frames) == 12 and sequence.init_box == [1, 2, 3, 4], dataset
        stems = [int("".join(c for c in p.stem if c.isdigit())) for p in sequence.frames]
        assert stems == sorted(stems), f"{dataset}: 2 before 10"


def test_select_names(root: Path) -> None:
    otb = open_dataset("otb")
    assert select_names(otb, None) == otb.names
    assert select_names(otb, "Crossing") == ("otb_Crossing",)
    assert select_names(otb, "otb_Crossing, Couple,Crossing") == ("otb_Crossing", "otb_Couple")
    assert select_names(otb, "0") == (otb.names[0],)
    with pytest.raises(ValueError, match=r"no sequence 'Crosing' among its 100; similar: .*Cross"):
        select_names(otb, "Crosing")


def test_refusals(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"unknown test set 'got10k'; there are: .*got10k_test"):
        open_dataset("got10k")
    with pytest.raises(FileNotFoundError, match=r"test set trackingnet: no sequence in"):
        open_dataset("trackingnet")
    monkeypatch.setenv("AIATRACK_OTB_DIR", str(root / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere \(from AIATRACK_OTB_DIR"):
        open_dataset("otb")


BROKEN = [
    (
        "missing frame",
        {"frames": 40},
        SequenceError,
        r"otb_Football1: frame .*0041\.jpg is missing \(34",
    ),
    ("no frame", {"frames": 0}, SequenceError, r"frame .*0001\.jpg is missing \(74 of 74\)"),
    ("more boxes", {"boxes": 80}, SequenceError, r"more boxes \(80\) than frames \(74\)"),
    ("no box", {"boxes": 0}, SequenceError, "annotation is empty"),
]


@pytest.mark.parametrize(("name", "how", "error", "message"), BROKEN, ids=[c[0] for c in BROKEN])
def test_broken_sequences(root: Path, name: str, how: dict, error: type, message: str) -> None:
    lay_out(root / "OTB100", "otb_Football1", **how)
    with pytest.raises(error, match=message):
        open_dataset("otb").load("otb_Football1")


def test_sequences_that_are_not_there(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"Football1/groundtruth_rect\.txt"):
        open_dataset("otb").load("otb_Football1")
    (root / "own/dog").mkdir()
    (root / "own/dog/groundtruth.txt").write_text("1,2,3,4\n")
    with pytest.raises(SequenceError, match=r"dog: no frames in .*dog"):
        open_dataset("own").load("dog")


def test_annotation_that_is_not_numbers(root: Path) -> None:
    folder = lay_out(root / "OTB100", "otb_Football1")
    (folder.parent / "groundtruth_rect.txt").write_text("1,2,3,4\n1,2,x,4\n")
    with pytest.raises(ValueError, match=r"groundtruth_rect\.txt, line 2: 'x' is not a number"):
        open_dataset("otb").load("otb_Football1")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        *((key, key) for key in LAYOUTS),
        ("OTB100", "otb"),
        ("NfS30", "nfs"),
        ("UAV123", "uav"),
        ("LaSOT", "lasot"),
        ("LaSOT_extension_subset", "lasot_ext"),
        ("TrackingNet", "trackingnet"),
        ("GOT10k_test", "got10k_test"),
        ("GOT-10k", "got10k_test"),
        ("got10k-val", "got10k_val"),
        ("otb 99", "otb 99"),
    ],
)
def test_names_that_others_give_test_sets(name: str, key: str) -> None:
    assert dataset_key(name) == key


def test_real_sequences(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIATRACK_OTB_DIR", str(shared / "sequences"))
    otb = open_dataset("otb")
    for name, frames in (("otb_Couple", 140), ("otb_Crossing", 120), ("otb_Football1", 74)):
        sequence = otb.load(name)
        assert len(sequence.frames) == len(sequence.boxes_xywh) == frames
        assert np.isfinite(sequence.boxes_xywh).all()
