"""Guards tracking/playback_results.py: several runs over their frames, and what cannot be."""

from pathlib import Path

import numpy as np
import pytest
from own_sets import COUNTS, boxes_of, write_folders
from programs import runner

from lib.io.video.draw import WHITE
from lib.io.video_file import read_frame, video_frames
from lib.test.evaluation.results import ResultFolder, SequenceResult
from lib.tools.video import playback
from lib.tools.video.painter import COLOURS

run = runner("playback_results.py")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Own data of two sequences; run "first" has results of both, "second" boxes of one alone."""
    write_folders(tmp_path / "own")
    monkeypatch.setenv("AIATRACK_OWN_DIR", str(tmp_path / "own"))
    folder = ResultFolder(tmp_path / "results", "aiatrack", "first", "own")
    for name, count in COUNTS.items():
        boxes = np.nan_to_num(boxes_of(name), nan=5)
        folder.save(name, SequenceResult(boxes, np.full(count, 0.75), np.ones(count)), {})
    second = tmp_path / "results" / "aiatrack" / "second" / "own"
    second.mkdir(parents=True)
    rows = [f"{40 + t},22,20,14\n" for t in range(COUNTS["walk"] - 3)]  # not whole
    (second / "walk.txt").write_text("".join(rows))
    return tmp_path / "results"


def has_colour(image: np.ndarray, colour: tuple[int, int, int]) -> bool:
    """Some pixels of a decoded frame are nearly of a colour."""
    return bool((np.abs(image.astype(int) - colour).max(-1) < 40).sum() > 8)


def test_runs_are_drawn_over_their_frames(results: Path, tmp_path: Path) -> None:
    runs = ("--dataset", "OWN", "--results", results, "--param", "first", "second")
    code, printed, errors = run(*runs, "--out", tmp_path / "out", "--trail", "3")
    assert code == 0, errors
    assert "ride: aiatrack second has no result of it" in errors
    videos = {name: tmp_path / "out" / f"{name}.mp4" for name in COUNTS}
    assert set(printed.split()) == {str(path) for path in videos.values()}
    frames = video_frames(videos["walk"])
    assert len(frames) == COUNTS["walk"]
    drawn, last = (read_frame(frames[number]) for number in (2, -1))
    legend = slice(96, None) if drawn.shape[0] > 96 else slice(-8, None)
    for colour in (WHITE, *COLOURS[:2]):
        assert has_colour(drawn, colour)
    assert has_colour(last[legend], COLOURS[1])  # the run is named beyond its end too


def test_what_cannot_be_played_is_named_and_the_rest_is_played(
    results: Path, tmp_path: Path
) -> None:
    first = ("--dataset", "own", "--results", results, "--param", "first", "--out", tmp_path / "o")
    for image in (tmp_path / "own" / "walk" / "img").iterdir():
        image.write_bytes(b"no image")
    code, printed, errors = run(*first)
    assert (code, Path(printed.strip()).name) == (1, "ride.mp4")
    assert "cannot play walk: " in errors and "Traceback" not in errors
    code, _, errors = run(*first, "--seq", "ride")
    assert code == 1 and "exists; give --overwrite" in errors
    boxes = results / "aiatrack" / "first" / "own" / "ride.txt"
    boxes.write_text(boxes.read_text().replace("10", "11", 1))
    code, _, errors = run(*first, "--seq", "ride", "--overwrite")
    assert code == 1 and "ride.txt: changed since it was written" in errors
    code, _, errors = run("--dataset", "own", "--results", tmp_path / "none")
    assert code == 1 and "no result of own to play" in errors


def test_keys_end_a_sequence_or_all(results: Path) -> None:
    shown = []

    class Keys:
        def show(self, image: np.ndarray, milliseconds: int) -> str:
            shown.append(milliseconds)
            return "n" if len(shown) == 2 else ""

    frames = [np.zeros((8, 8, 3), np.uint8)] * 5
    assert playback.show_frames(Keys(), iter(frames), 50) == "n" and shown == [20, 20]
    assert playback.show_frames(Keys(), iter(frames), 50) == ""
