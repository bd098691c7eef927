"""Guards the demo: the weights in the repository follow targets that they have not seen."""

import shutil
from pathlib import Path

import cv2
import numpy as np

from lib.synthetic.plan import VERSION
from lib.tools.video.pictures import GAP, Row, write_contact_sheet, write_video
from tests.programs import runner

run = runner("demo.py")


def test_demo_of_any_weights(tiny_recipe: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    base = ["--param", str(tiny_recipe), "--checkpoint", str(tiny_checkpoint), "--out", str(out)]
    done = run(*base, "--clips", "2", "--frames", "8", "--part", "val")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows if row and row[0] in ("clip_01", "clip_02", "all")] == [
        *("clip_01", "clip_02", "all")
    ]
    video = cv2.VideoCapture(str(out / "demo.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 16
    assert cv2.imread(str(out / "contact_sheet.png")).shape[1] == 6 * 324
    assert cv2.VideoCapture(str(out / "cars.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 23
    assert (out / "success_otb_strict.png").is_file()
    name = f"photographs_val_v{VERSION}_seed2026_2x8"
    results = out / "results" / name / "aiatrack" / "tiny" / "demo"
    assert len((results / "clip_02.txt").read_text().splitlines()) == 8


def test_clips_that_were_cut_short_are_written(
    tiny_recipe: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Stopped within the second of three clips, and started again."""
    base = ["--param", str(tiny_recipe), "--checkpoint", str(tiny_checkpoint), "--frames", "4"]
    options = [*base, "--clips", "3", "--out", str(tmp_path)]
    assert run(*options).returncode == 0
    (clips,) = (tmp_path / "clips").glob("*/val")
    whole = {path: path.read_bytes() for path in clips.rglob("*") if path.is_file()}
    shutil.rmtree(clips / "clip_03")
    (clips / "clip_02" / "groundtruth.txt").unlink()
    (clips / "list.txt").write_text("clip_01\n")
    done = run(*options, "--overwrite")
    assert done.returncode == 0 and "clip_03" in done.stdout
    assert whole == {path: path.read_bytes() for path in clips.rglob("*") if path.is_file()}


def test_demo_weights_follow_what_they_have_not_seen(tmp_path: Path) -> None:
    """What a newcomer sees first: the weights in the repository, loaded by name."""
    done = run("--clips", "3", "--frames", "30", "--device", "cpu", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    overall = next(line.split() for line in done.stdout.splitlines() if line.startswith("all"))
    assert float(overall[3]) > 50  # mean AUC; measured: 56.5, and 70.1 on the demo's own 8 x 60


def test_colours_of_the_video_are_those_of_the_frames(tmp_path: Path) -> None:
    """A red frame stays red: the order of channels turns once, at the writer."""
    red = np.zeros((64, 96, 3), np.uint8)
    red[..., 0] = 220
    write_video(tmp_path / "red.mp4", [red] * 5)
    ok, bgr = cv2.VideoCapture(str(tmp_path / "red.mp4")).read()
    assert ok and bgr[..., 2].mean() > 180 and bgr[..., 0].mean() < 40
    rows = [Row("a clip: AUC 50.0", [red, red]), Row("another", [red])]
    write_contact_sheet(tmp_path / "red.png", rows, [("true box", (255, 255, 255))], width=96)
    sheet = cv2.imread(str(tmp_path / "red.png"))
    assert sheet.shape[1] == 2 * (96 + GAP) and sheet[-10, 10].tolist() == [0, 0, 220]
    assert (sheet[:20] == 255).all(-1).any()  # the legend


def test_refusals(tmp_path: Path) -> None:
    done = run("--clips", "0", "--out", str(tmp_path))
    assert done.returncode == 2 and "--clips: must be 1 or more; given: 0" in done.stderr
    done = run("--checkpoint", str(tmp_path / "none.pth"), "--out", str(tmp_path))
    assert done.returncode == 1 and "none.pth" in done.stderr and "Traceback" not in done.stderr
