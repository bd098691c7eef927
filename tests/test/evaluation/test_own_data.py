"""Guards own data as a test set: the same frames and boxes from every format."""

import logging
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from made_videos import HEIGHT, WIDTH, number_of, write_numbered
from own_sets import COUNTS, FORMATS, boxes_of, write_folders, write_videos

from lib.io.video_file import read_frame
from lib.test.evaluation.data import SequenceError
from lib.test.evaluation.datasets import open_annotations, open_dataset
from lib.tools.setup.data import check_test_set
from lib.tools.setup.machine import OK


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of own data."""
    (tmp_path / "own").mkdir()
    monkeypatch.setenv("AIATRACK_OWN_DIR", str(tmp_path / "own"))
    return tmp_path / "own"


@pytest.mark.parametrize("kind", FORMATS)
def test_formats(root: Path, kind: str) -> None:
    write, names = FORMATS[kind]
    write(root)
    test_set, annotations = open_dataset("own"), open_annotations("own", root)
    assert set(test_set.names) == set(annotations.names) == set(names.values())
    for name, called in names.items():
        sequence = test_set.load(called)
        assert sequence.init_box == boxes_of(name)[0].tolist()
        numbers = [number_of(read_frame(frame)) for frame in sequence.frames]
        assert numbers == list(range(COUNTS[name]))
        truth = annotations.truth(called).boxes_xywh
        assert np.array_equal(truth, boxes_of(name), equal_nan=True)
    assert check_test_set("own").level == OK


def test_memory_does_not_grow_with_a_video(root: Path) -> None:
    write_numbered(root / "long.mp4", 300)
    (root / "long.txt").write_text("1,2,30,40\n")
    sequence = open_dataset("own").load("long")
    tracemalloc.start()
    for frame in sequence.frames:
        read_frame(frame)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10 * HEIGHT * WIDTH * 3  # ten frames
    assert sequence.frames[0].video._decoder is None


BOXES = [
    ("1,2,3,4\n" * 11, r"walk: 11 boxes in .*walk\.txt, but 12 frames in .*walk\.mp4; .*the first"),
    ("1,2,0,4\n" * 12, r"walk: the first box is 1, 2, 0, 4; .* needs a width and a height"),
    ("NaN,2,3,4\n", r"walk: the first box is nan, 2, 3, 4; "),
    ("", r"walk: 0 boxes in "),
    ("1,2,3\n", r"walk\.txt, line 1: 3 numbers, expected 4"),
]


@pytest.mark.parametrize(("text", "message"), BOXES)
def test_boxes_that_are_refused(root: Path, text: str, message: str) -> None:
    write_videos(root)
    (root / "walk.txt").write_text(text)
    with pytest.raises(SequenceError, match=message):
        open_dataset("own").load("walk")
    assert len(open_dataset("own").load("ride").frames) == 9


def test_other_refusals(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(FileNotFoundError, match="test set own: no sequence in"):
        open_dataset("own")
    write_folders(root)
    (root / "walk" / "groundtruth.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"no file of boxes: .*walk/groundtruth\.txt"):
        open_dataset("own").load("walk")
    (root / "text.mp4").write_text("no video")
    (root / "text.txt").write_text("1,2,3,4\n")
    with caplog.at_level(logging.INFO), pytest.raises(OSError, match=r"text\.mp4: not a video"):
        open_dataset("own").load("text")
    (root / "annotations.json").write_text('{"images": [], "annotations": []}')
    with pytest.raises(ValueError, match="objects of single images are no sequences"):
        open_dataset("own")
