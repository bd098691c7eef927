"""Guards archives for TrackingNet and GOT-10k: layout, refusals, nothing deleted."""

import os
import re
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
        (GOT10K, {"a_0/a_0_002.txt": "1,2,3,4\n"}, "a_0/a_0_002.txt: does not belong there"),
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
