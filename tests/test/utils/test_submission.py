"""Guards archives for TrackingNet and GOT-10k: layout, refusals, nothing deleted."""

import contextlib
import os
import random
import re
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lib.test.utils.submission import count_frames, write_archive
from lib.test.utils.submission_check import GOT10K, TRACKINGNET, SubmissionError, check
from tests.programs import Done, run_program

ROOT = Path(__file__).resolve().parents[3]
FRAMES = {"a_0": 3, "b-1": 2}


def make_images(layout, root: Path, frames: dict[str, int]) -> dict[str, int]:
    for name, length in frames.items():
        folder = root / layout.frames_folder / name
        folder.mkdir(parents=True)
        for index in range(length):
            (folder / f"{index}.jpg").touch()
    return count_frames(layout, root)


def make_results(layout, run: Path, frames: dict[str, int], folder: str | None = None) -> Path:
    folder = run / (folder or layout.dataset)
    folder.mkdir(parents=True)
    for name, length in frames.items():
        boxes = np.arange(4.0 * length).reshape(length, 4) - 2.5
        boxes[:, 2:] = np.abs(boxes[:, 2:])
        np.savetxt(folder / f"{name}.txt", boxes, "%g", delimiter=",")
        np.savetxt(folder / f"{name}_time.txt", np.arange(length) / 7, "%f")
    return folder


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=[TRACKINGNET, GOT10K], ids=["trackingnet", "got10k"])
def layout(request):
    return request.param


def test_trackingnet_archive_has_the_published_layout(tmp_path, caplog):
    frames = make_images(TRACKINGNET, tmp_path, FRAMES)
    make_results(TRACKINGNET, tmp_path / "run", FRAMES)
    archive = write_archive(TRACKINGNET, tmp_path / "run", frames)
    assert archive == tmp_path / "run" / "trackingnet_submit.zip"
    with zipfile.ZipFile(archive) as file:
        assert sorted(file.namelist()) == ["a_0.txt", "b-1.txt"]
        # -2.5 and -1.5 are cut toward zero
        assert file.read("b-1.txt") == b"-2,-1,0,0\n1,2,3,4\n"
    assert "holds 2 sequences, the TrackingNet test set has 511" in caplog.text


def test_got10k_archive_has_the_published_layout(tmp_path):
    frames = make_images(GOT10K, tmp_path, FRAMES)
    make_results(GOT10K, tmp_path / "run", FRAMES)
    archive = write_archive(GOT10K, tmp_path / "run", frames)
    assert archive == tmp_path / "run" / "got10k_submit.zip"
    with zipfile.ZipFile(archive) as file:
        names = [f"{name}/{name}_{kind}.txt" for name in FRAMES for kind in ("001", "time")]
        assert sorted(file.namelist()) == sorted(names)
        assert file.read("b-1/b-1_001.txt") == b"-2,-1,0,0\n1,2,3,4\n"
        assert file.read("b-1/b-1_time.txt") == b"0.000000\n0.142857\n"


def test_full_size_test_sets_need_no_images(tmp_path):
    frames = {f"GOT-10k_Test_{n:06d}": 127 for n in range(1, 181)}
    frames["GOT-10k_Test_000180"] += 22834 - 127 * 180
    make_results(GOT10K, tmp_path, frames, "got10k")  # the released results' folder name
    assert check(GOT10K, write_archive(GOT10K, tmp_path, None)) == 22834
    names = {f"video{n:03d}_0": 1 for n in range(511)}
    make_results(TRACKINGNET, tmp_path, names)
    assert check(TRACKINGNET, write_archive(TRACKINGNET, tmp_path, None)) == 511


def test_raw_results_stay_as_they_were(layout, tmp_path):
    frames = make_images(layout, tmp_path, FRAMES)
    folder = make_results(layout, tmp_path / "run", FRAMES)
    before = snapshot(folder)
    first = write_archive(layout, tmp_path / "run", frames).read_bytes()
    assert write_archive(layout, tmp_path / "run", frames).read_bytes() == first
    assert snapshot(folder) == before
    # no temporary file is left beside the archive
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted(
        [layout.archive, layout.dataset]
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, r"a_0: no file .*a_0\.txt", id="missing"),
        pytest.param("1,2,3,4\n" * 2, r"a_0\.txt: 2 boxes for 3 frames", id="short"),
        pytest.param("1,2,3,4\n" * 4, r"a_0\.txt: 4 boxes for 3 frames", id="long"),
        pytest.param("", r"a_0\.txt: 0 boxes for 3 frames", id="empty"),
        pytest.param(
            "1,2,3,4\n1,nan,3,4\n1,2,3,4\n", r"a_0\.txt, line 2: a number that is not", id="nan"
        ),
        pytest.param(
            "1,2,3,4\n1,2,3,4\n1,inf,3,4\n", r"a_0\.txt, line 3: a number that is not", id="inf"
        ),
        pytest.param("1,2,3,4\n" * 2 + "1,2,1e308,4\n", r"line 3: a number beyond 1e", id="1e308"),
        pytest.param("1,2,3,4\n1,2,-3,4\n1,2,3,4\n", r"line 2: a negative size", id="negative"),
        pytest.param("1,2,3,4\n1,2,3\n1,2,3,4\n", r"line 2: 3 numbers, expected 4", id="columns"),
    ],
)
def test_refuses_bad_boxes_and_writes_nothing(layout, tmp_path, content, message):
    frames = make_images(layout, tmp_path, FRAMES)
    folder = make_results(layout, tmp_path / "run", FRAMES)
    archive = tmp_path / "run" / layout.archive
    archive.write_bytes(b"the archive of yesterday")
    (folder / "a_0.txt").unlink()
    if content is not None:
        (folder / "a_0.txt").write_text(content)
    with pytest.raises(SubmissionError, match=message):
        write_archive(layout, tmp_path / "run", frames)
    assert archive.read_bytes() == b"the archive of yesterday"
    assert sorted(path.name for path in archive.parent.iterdir()) == sorted(
        [layout.archive, layout.dataset]
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, r"a_0: no file .*a_0_time\.txt", id="missing"),
        pytest.param("0.1\n0.1\n", r"a_0_time\.txt: 2 times for 3 boxes", id="short"),
        pytest.param("0.1\n-0.1\n0.1\n", r"a_0_time\.txt, line 2: a time that", id="negative"),
        pytest.param("0.1\n0.1\nnan\n", r"a_0_time\.txt, line 3: a time that", id="nan"),
    ],
)
def test_got10k_refuses_bad_times(tmp_path, content, message):
    frames = make_images(GOT10K, tmp_path, FRAMES)
    folder = make_results(GOT10K, tmp_path / "run", FRAMES)
    (folder / "a_0_time.txt").unlink()
    if content is not None:
        (folder / "a_0_time.txt").write_text(content)
    with pytest.raises(SubmissionError, match=message):
        write_archive(GOT10K, tmp_path / "run", frames)


def test_names_every_problem_at_once(layout, tmp_path):
    frames = make_images(layout, tmp_path, FRAMES)
    folder = make_results(layout, tmp_path / "run", FRAMES)
    (folder / "a_0.txt").unlink()
    (folder / "b-1.txt").write_text("1,2,3,4\n")
    with pytest.raises(SubmissionError) as error:
        write_archive(layout, tmp_path / "run", frames)
    assert len(str(error.value).splitlines()) == 2


def test_refuses_without_results_or_images(layout, tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"no {layout.title} results: no folder"):
        write_archive(layout, tmp_path, FRAMES)
    with pytest.raises(FileNotFoundError, match=rf"no {layout.title} test images in"):
        count_frames(layout, tmp_path)


def test_partial_results_are_refused_without_images(tmp_path):
    make_results(TRACKINGNET, tmp_path, FRAMES)
    with pytest.raises(SubmissionError, match="2 sequences, the test set has 511"):
        write_archive(TRACKINGNET, tmp_path, None)
    assert not (tmp_path / TRACKINGNET.archive).exists()


def write_zip(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, text in members.items():
            file.writestr(name, text)
    return path


GOOD_BOXES = {"a_0": "1,2,3,4\n" * 3, "b-1": "1,2,3,4\n" * 2}
GOOD_TRACKINGNET = {f"{name}.txt": text for name, text in GOOD_BOXES.items()}
GOOD_GOT10K = {f"{name}/{name}_001.txt": text for name, text in GOOD_BOXES.items()} | {
    f"{name}/{name}_time.txt": "0.100000\n" * FRAMES[name] for name in FRAMES
}


@pytest.mark.parametrize(
    ("layout", "members"), [(TRACKINGNET, GOOD_TRACKINGNET), (GOT10K, GOOD_GOT10K)]
)
def test_check_passes_a_good_archive(tmp_path, layout, members):
    assert check(layout, write_zip(tmp_path / "x.zip", members), FRAMES) == 5
    # folder entries, as `zip -r` writes them, do no harm
    folders = {f"{name.split('/')[0]}/": "" for name in members if "/" in name}
    assert check(layout, write_zip(tmp_path / "y.zip", folders | members), FRAMES) == 5


@pytest.mark.parametrize(
    ("layout", "change", "message"),
    [
        (TRACKINGNET, {"a_0.txt": None}, "a_0: missing"),
        (TRACKINGNET, {"c.txt": "1,2,3,4\n"}, "c: not in the test set"),
        (TRACKINGNET, {"a_0_time.txt": "0.1\n"}, "a_0_time.txt, line 1: '0.1'"),
        (TRACKINGNET, {"top/a_0.txt": "1,2,3,4\n"}, "top/a_0.txt: does not belong there"),
        (TRACKINGNET, {"a_0.txt": "1,2,3,4\n" * 2}, "a_0: 2 boxes for 3 frames"),
        (TRACKINGNET, {"b-1.txt": "1,2,3,4\n1,2,3,4"}, "b-1.txt: no newline at the end"),
        (TRACKINGNET, {"b-1.txt": "1,2,3,4\r\n" * 2}, "b-1.txt, line 1: '1,2,3,4\\r'"),
        (TRACKINGNET, {"b-1.txt": "1.0,2,3,4\n" * 2}, "b-1.txt, line 1: '1.0,2,3,4'"),
        (TRACKINGNET, {"b-1.txt": "1\t2\t3\t4\n" * 2}, "b-1.txt, line 1:"),
        (TRACKINGNET, {"b-1.txt": "1,2,-3,4\n" * 2}, "b-1.txt, line 1: '1,2,-3,4'"),
        (TRACKINGNET, {"b-1.txt": "1,2,3,4\n\n"}, "b-1.txt, line 2: ''"),
        (GOT10K, {"a_0/a_0_time.txt": None}, "a_0/a_0_time.txt: missing"),
        (GOT10K, {"a_0/a_0_time.txt": "0.100000\n"}, "a_0/a_0_time.txt: 1 times for 3 boxes"),
        (GOT10K, {"a_0/a_0_time.txt": "nan\n" * 3}, "a_0/a_0_time.txt, line 1: 'nan'"),
        (GOT10K, {"a_0/a_0_002.txt": "1,2,3,4\n"}, "a_0_002.txt: 1 boxes, the first run has 3"),
        (GOT10K, {"a_0/a_0_004.txt": "1,2,3,4\n"}, "a_0/a_0_004.txt: does not belong there"),
        (GOT10K, {"c/c_002.txt": "1,2,3,4\n"}, "c/c_002.txt: of a sequence without a first run"),
        (GOT10K, {"a_0/a_0_001.txt": "1,2,nan,4\n" * 3}, "a_0_001.txt, line 1: '1,2,nan,4'"),
        (GOT10K, {"a_0/a_0_001.txt": f"1,2,{'3' * 99},4\n" * 3}, "a_0_001.txt, line 1: '1,2,33"),
        (GOT10K, {"a_0/a_0_time.txt": "0.100000,0.100000\n" * 3}, "2 times a line for 1 runs"),
        (GOT10K, {"a_0/": "full"}, "a_0/: a folder with content"),
        (GOT10K, {"a_0/a_0_001.txt": None}, "a_0: missing"),
    ],
)
def test_check_refuses(tmp_path, layout, change, message):
    members = (GOOD_TRACKINGNET if layout is TRACKINGNET else GOOD_GOT10K) | change
    members = {name: text for name, text in members.items() if text is not None}
    with pytest.raises(SubmissionError, match=re.escape(message)):
        check(layout, write_zip(tmp_path / "x.zip", members), FRAMES)


def test_check_refuses_what_is_no_zip_and_official_counts(layout, tmp_path):
    path = tmp_path / "x.zip"
    path.write_bytes(b"PK not really")
    with pytest.raises(SubmissionError, match="not a whole, readable zip file"):
        check(layout, path)
    good = write_zip(path, GOOD_TRACKINGNET if layout is TRACKINGNET else GOOD_GOT10K)
    with pytest.raises(SubmissionError, match=f"2 sequences, the test set has {layout.sequences}"):
        check(layout, good)
    content = bytearray(good.read_bytes())
    content[content.index(b"1,2,3,4")] ^= 1  # one bit of one file
    good.write_bytes(content)
    with pytest.raises(SubmissionError, match="not a whole, readable zip file"):
        check(layout, good)
    with pytest.raises(FileNotFoundError):
        check(layout, tmp_path / "absent.zip")


def test_check_accepts_what_the_toolkit_writes(tmp_path):
    """Boxes with %.3f, times with %.8f and a column for each run, up to three runs."""
    members = {}
    for name, length in FRAMES.items():
        for run in (1, 2, 3)[: 3 if name == "a_0" else 1]:
            boxes = "-10.000,20.125,30.000,40.000\n" * length
            members[f"{name}/{name}_{run:03d}.txt"] = boxes
        columns = ",".join(["0.12345678"] * (3 if name == "a_0" else 1))
        members[f"{name}/{name}_time.txt"] = f"{columns}\n" * length
    assert check(GOT10K, write_zip(tmp_path / "x.zip", members), FRAMES) == 5
    windows = {name: text.replace("\n", "\r\n") for name, text in members.items()}
    assert check(GOT10K, write_zip(tmp_path / "y.zip", windows), FRAMES) == 5


def write_bomb(path: Path, name: str, size: int, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file, file.open(name, "w") as member:
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    return path


def test_bombs_are_not_unpacked(tmp_path, monkeypatch):
    opened: list[str] = []
    real = zipfile.ZipFile.open
    monkeypatch.setattr(
        zipfile.ZipFile,
        "open",
        lambda self, name, mode="r", **options: (
            (opened.append(name) if mode == "r" else None) or real(self, name, mode, **options)
        ),
    )
    bombs = {"a_0.txt": r"68157440 bytes; no archive of", "x.bin": r"x\.bin: does not belong there"}
    for name, message in bombs.items():
        with pytest.raises(SubmissionError, match=message):
            check(TRACKINGNET, write_bomb(tmp_path / "x.zip", name, 65 << 20), FRAMES)
    with pytest.raises(SubmissionError, match=r"a_0\.txt: neither stored nor deflated"):
        check(TRACKINGNET, write_bomb(tmp_path / "x.zip", "a_0.txt", 0, zipfile.ZIP_LZMA), FRAMES)
    assert not opened
    # one that claims to be small: no more than that is unpacked
    content = write_bomb(tmp_path / "x.zip", "a_0.txt", 64 << 20).read_bytes()
    (tmp_path / "x.zip").write_bytes(
        content.replace((64 << 20).to_bytes(4, "little"), b"\x09\0\0\0")
    )
    tracemalloc.start()
    with pytest.raises(SubmissionError, match="not a whole, readable zip file"):
        check(TRACKINGNET, tmp_path / "x.zip", FRAMES)
    assert opened and tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_an_archive_that_no_test_set_fills_is_not_read(tmp_path):
    with open(tmp_path / "x.zip", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(SubmissionError, match=r"\d+ bytes; no archive of TrackingNet has"):
        check(TRACKINGNET, tmp_path / "x.zip")


def test_pipes_are_refused(layout, tmp_path):
    os.mkfifo(tmp_path / "x.zip")
    with pytest.raises(OSError, match="not a regular file"):
        check(layout, tmp_path / "x.zip")
    frames = make_images(layout, tmp_path, FRAMES)
    folder = make_results(layout, tmp_path / "run", FRAMES)
    (folder / "a_0.txt").unlink()
    os.mkfifo(folder / "a_0.txt")
    with pytest.raises(SubmissionError, match=r"a_0: .*a_0\.txt: not a regular file"):
        write_archive(layout, tmp_path / "run", frames)


def test_mutated_archives_never_end_otherwise(layout, tmp_path):
    members = GOOD_TRACKINGNET if layout is TRACKINGNET else GOOD_GOT10K
    content = write_zip(tmp_path / "x.zip", members).read_bytes()
    draw, accepted = random.Random(0), 0
    for _ in range(300):
        changed = bytearray(content)
        for _ in range(draw.randint(1, 4)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        (tmp_path / "x.zip").write_bytes(
            changed[: draw.choice([None, draw.randrange(len(changed))])]
        )
        with contextlib.suppress(SubmissionError):
            accepted += check(layout, tmp_path / "x.zip", FRAMES) == 5
    assert accepted < 150  # a date or an attribute may change


def test_long_lists_of_problems_are_cut(layout, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = write_zip(tmp_path / "x.zip", {f"{'n' * 5000}{i}.bin": "" for i in range(1000)})
    out = transform(layout, "--check", path)
    assert out.returncode == 1 and len(out.stdout) < 30_000
    (listed,) = tmp_path.glob("aiatrack-problems-*.txt")
    assert f"more; all are in {listed}" in out.stdout
    assert len(listed.read_text().splitlines()) > 1000


def transform(layout, *arguments: object) -> Done:
    """Run the program as the README says."""
    program = "transform_trackingnet" if layout is TRACKINGNET else "transform_got10k"
    settings = {k: v for k, v in os.environ.items() if not k.startswith("AIATRACK_")}
    return run_program(ROOT / "lib" / "test" / "utils" / f"{program}.py", *arguments, env=settings)


def test_programs(layout, tmp_path):
    make_images(layout, tmp_path / "data", FRAMES)
    folder = make_results(layout, tmp_path / "all" / "aiatrack" / "baseline", FRAMES)
    where = ["--results", tmp_path / "all", "--data", tmp_path / "data"]
    names = ["--tracker_name", "aiatrack", "--cfg_name", "some/baseline.yaml"]  # or its name
    out = transform(layout, *names, *where)
    archive = folder.parent / layout.archive
    assert out.returncode == 0 and f"{archive} is written and checked" in out.stdout
    out = transform(layout, "--check", archive, *where)
    assert out.returncode == 0 and f"{archive} is right: 5 boxes" in out.stdout
    (folder / "a_0.txt").write_text("1,2,3,4\n")
    out = transform(layout, *names, *where)
    assert out.returncode == 1 and "a_0.txt: 1 boxes for 3 frames" in out.stdout
    out = transform(layout, "--check", folder / "b-1.txt", *where)
    assert out.returncode == 1 and "not a whole, readable zip file" in out.stdout
    out = transform(layout, "--cfg_name", "other", *where)
    assert out.returncode == 1 and "no folder" in out.stdout and "other" in out.stdout
    out = transform(layout, "--data", tmp_path / "nowhere")
    assert out.returncode == 1 and f"no {layout.title} test images in" in out.stdout
