"""Guards stores: a folder and its packed copy read the same; what is missing or broken is named."""

import multiprocessing
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from lib.io.store import FolderStore, LmdbStore, Store, open_store, pack_lmdb
from lib.utils.image import ImageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tree with text, pictures, an empty file, names that sort around "/", and hidden files."""
    root = tmp_path / "set"
    files = {
        "list.txt": b"a\nb\n",
        "a/groundtruth.txt": "\ufeff1,2,3,4\n".encode(),
        "a/img/00000001.jpg": _picture(".jpg"),
        "a/img/00000002.png": _picture(".png"),
        "a.b/one.txt": b"1",
        "a-b/two.txt": b"2",
        "a0/three.txt": b"",
        "é/ü.txt": b"\xff\xfe\xfa",
        ".cache/index.npz": b"hidden",
        "a/.hidden": b"hidden",
    }
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


@pytest.fixture
def packed(folder: Path) -> Path:
    """The same tree in one file."""
    target = folder.with_suffix(".lmdb")
    assert pack_lmdb(folder, target, progress=lambda size: None) == 8
    return target


def _picture(extension: str) -> bytes:
    pixels = np.random.default_rng(3).integers(0, 256, (24, 32, 3), np.uint8)
    return cv2.imencode(extension, pixels)[1].tobytes()


def test_packed_equals_folder(folder: Path, packed: Path) -> None:
    plain, single = open_store(folder), open_store(packed)
    assert isinstance(plain, FolderStore) and isinstance(single, LmdbStore)
    for place in ("", "a", "a/img", "a.b", "a-b", "a0", "é"):
        assert plain.names(place) == single.names(place) != []
    assert plain.names("") == ["a", "a-b", "a.b", "a0", "list.txt", "é"]
    for path in ("list.txt", "a/img/00000001.jpg", "a0/three.txt", "é/ü.txt"):
        assert plain.read_bytes(path) == single.read_bytes(path)
    assert plain.read_text("a/groundtruth.txt") == "1,2,3,4\n"
    assert single.read_text("a/groundtruth.txt") == "1,2,3,4\n"
    for path in ("a/img/00000001.jpg", "a/img/00000002.png"):
        assert np.array_equal(plain.read_image(path), single.read_image(path))


@pytest.mark.parametrize("kind", ["folder", "packed"])
def test_what_is_missing_is_named(kind: str, request: pytest.FixtureRequest) -> None:
    store = open_store(request.getfixturevalue(kind))
    with pytest.raises(FileNotFoundError, match=r"nothing\.txt"):
        store.read_bytes("nothing.txt")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        store.names("nowhere")
    with pytest.raises(ValueError, match=r"ü\.txt: not a text file"):
        store.read_text("é/ü.txt")
    with pytest.raises(ImageError, match=r"three\.txt: the file is empty"):
        store.read_image("a0/three.txt")


def test_stamp_follows_the_files(folder: Path) -> None:
    store = FolderStore(folder)
    before = store.stamp(["list.txt"])
    assert store.stamp(["list.txt"]) == before
    (folder / "list.txt").write_text("a\nb\nc\n")
    assert store.stamp(["list.txt"]) != before
    missing = store.stamp(["new.txt"])
    (folder / "new.txt").write_text("")
    assert store.stamp(["new.txt"]) != missing  # one that appears counts as well


def test_stamp_of_a_packed_file_follows_the_file(folder: Path, packed: Path) -> None:
    before = LmdbStore(packed).stamp(["list.txt"])
    (folder / "more.txt").write_bytes(bytes(20_000))
    pack_lmdb(folder, packed, progress=lambda size: None)
    assert LmdbStore(packed).stamp(["list.txt"]) != before


@pytest.mark.parametrize("share", [0, 0.01, 0.2, 0.5, 0.99])
@pytest.mark.parametrize("in_folder", [False, True])
def test_a_file_cut_short_is_refused(packed: Path, share: float, in_folder: bool) -> None:
    """Reading beyond its end would be a bus error, which ends the process."""
    cut = packed.with_name("cut.lmdb")
    if in_folder:
        cut.mkdir()
    content = packed.read_bytes()
    (cut / "data.mdb" if in_folder else cut).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(OSError, match=r"cut\.lmdb: (the LMDB file is cut short|not an LMDB file)"):
        LmdbStore(cut).read_text("list.txt")


def test_another_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "set.lmdb").write_bytes(b"PK\x03\x04" * 5000)
    with pytest.raises(OSError, match=r"set\.lmdb: not an LMDB file, or a damaged one"):
        open_store(tmp_path / "set.lmdb").names("")


def test_pipes_and_what_systems_leave_are_no_data(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("__MACOSX/a/._list.txt", "a/@eaDir/x.jpg", "Thumbs.db", "lost+found/1"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    os.mkfifo(folder / "pipe.txt")
    target = folder.with_suffix(".lmdb")
    assert pack_lmdb(folder, target, progress=lambda size: None) == 8
    assert f"{folder / 'pipe.txt'} is no regular file and is left out" in caplog.text
    assert set(FolderStore(folder).names("")) - set(LmdbStore(target).names("")) == {"pipe.txt"}
    with pytest.raises(OSError, match=r"pipe\.txt: not a regular file"):
        FolderStore(folder).read_bytes("pipe.txt")


def _read_in_child(store: Store, results: multiprocessing.Queue) -> None:
    results.put(store.read_text("list.txt"))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_packed_file_is_opened_anew_in_each_process(packed: Path, method: str) -> None:
    store, second = LmdbStore(packed), LmdbStore(packed)
    assert store.read_text("list.txt") == second.read_text("list.txt") == "a\nb\n"  # open here
    context = multiprocessing.get_context(method)
    results = context.Queue()
    children = [context.Process(target=_read_in_child, args=(store, results)) for _ in range(2)]
    for child in children:
        child.start()
    assert [results.get(timeout=60) for _ in children] == ["a\nb\n"] * 2
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert store.read_text("list.txt") == "a\nb\n"


def test_a_failed_packing_leaves_the_old_file(folder: Path, packed: Path) -> None:
    before = packed.read_bytes()

    def stop(size: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        pack_lmdb(folder, packed, progress=stop)
    assert packed.read_bytes() == before
    assert sorted(path.name for path in packed.parent.iterdir()) == ["set", "set.lmdb"]


def test_linked_folders_are_packed_and_loops_end(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x.txt").write_text("x")
    (folder / "link").symlink_to(elsewhere)
    (folder / "a" / "loop").symlink_to(folder)
    target = tmp_path / "out.lmdb"
    assert pack_lmdb(folder, target, progress=lambda size: None) == 9
    assert LmdbStore(target).read_text("link/x.txt") == "x"


def test_nothing_to_pack(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder .*absent"):
        pack_lmdb(tmp_path / "absent", tmp_path / "x.lmdb", progress=lambda size: None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no files in .*empty"):
        pack_lmdb(tmp_path / "empty", tmp_path / "x.lmdb", progress=lambda size: None)
    with pytest.raises(FileNotFoundError, match=r"no folder .*absent"):
        open_store(tmp_path / "absent")


def test_a_path_too_long_for_a_key(tmp_path: Path) -> None:
    deep = tmp_path / "set" / ("x" * 200) / ("y" * 200) / ("z" * 200)
    deep.mkdir(parents=True)
    (deep / "f.txt").write_text("1")
    with pytest.raises(ValueError, match="more than 511 bytes"):
        pack_lmdb(tmp_path / "set", tmp_path / "x.lmdb", progress=lambda size: None)
