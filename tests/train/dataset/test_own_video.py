"""Guards own data for training: the same frames and boxes from every format, at random too."""

from pathlib import Path

import numpy as np
import pytest
from made_videos import number_of
from own_sets import COUNTS, FORMATS, HIDDEN, boxes_of, write_csv, write_videos

from lib.train.data.sampler import draw_causal_frames
from lib.train.dataset import DatasetError, build_dataset
from tests.train.clips import found_at


@pytest.mark.parametrize("kind", FORMATS)
def test_formats(tmp_path: Path, kind: str) -> None:
    write, names = FORMATS[kind]
    write(tmp_path)
    for _ in range(2):  # the second opening is from the cache
        dataset = build_dataset("OWN_VIDEO", lambda setting: found_at(tmp_path))
        assert dataset.is_video
        of = {dataset.sequence_name(i): i for i in range(len(dataset))}
        for name, called in names.items():
            sequence = of[called]
            shown = np.arange(COUNTS[name]) != HIDDEN
            assert np.array_equal(dataset.visible(sequence), shown)
            assert np.array_equal(dataset.boxes(sequence)[shown], boxes_of(name)[shown])
            generator = np.random.default_rng(0)
            for frame in draw_causal_frames(dataset.visible(sequence), 5, generator)[::-1]:
                assert number_of(dataset.read_frame(sequence, frame)) == frame


def test_more_videos_than_stay_open(tmp_path: Path) -> None:
    write_videos(tmp_path)
    for copy in range(6):
        for suffix in ("mp4", "txt"):
            (tmp_path / f"w{copy}.{suffix}").write_bytes((tmp_path / f"walk.{suffix}").read_bytes())
    dataset = build_dataset("OWN_VIDEO", lambda setting: found_at(tmp_path))
    for frame in (3, 7, 1):
        for sequence in range(len(dataset)):
            assert number_of(dataset.read_frame(sequence, frame)) == frame
    assert sum(v._decoder is not None for v in dataset._videos._videos.values()) == 4


def test_another_table_is_read(tmp_path: Path) -> None:
    """A cached index does not outlive a changed list."""
    write_csv(tmp_path)
    build_dataset("OWN_VIDEO", lambda setting: found_at(tmp_path))
    path = tmp_path / "sequences.csv"
    path.write_text("name,frames,boxes\nother,clips/ride,boxes/ride.csv\n")
    dataset = build_dataset("OWN_VIDEO", lambda setting: found_at(tmp_path))
    assert [dataset.sequence_name(i) for i in range(len(dataset))] == ["other"]


@pytest.mark.parametrize("kind", FORMATS)
def test_boxes_in_doubt(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sequence is trained on, and named at every start."""
    monkeypatch.setattr("own_sets.boxes_of", lambda name: boxes_of(name) / 1000)
    FORMATS[kind][0](tmp_path)
    for _ in range(2):
        dataset = build_dataset("OWN_VIDEO", lambda setting: found_at(tmp_path))
        assert "boxes of 2 sequences are in doubt:\n" in dataset.notes[0]
        assert dataset.notes[0].count("look like fractions of the image") == len(dataset) == 2


def test_refusals(tmp_path: Path) -> None:
    write_videos(tmp_path)
    path = tmp_path / "walk.txt"
    path.write_text(path.read_text() + "1,2,3,4\n")
    (tmp_path / "ride.txt").write_text("1,2,3,4\n1,2,,4\n")
    with pytest.raises(DatasetError) as error:
        build_dataset("OWN_VIDEO", lambda setting: found_at(tmp_path))
    message = str(error.value)
    assert "2 of 2 sequences cannot be used (docs/data.md shows" in message
    assert "walk: 13 boxes in" in message and "12 frames in" in message
    assert "ride.txt, line 2: 3 numbers, expected 4" in message
    (tmp_path / "sequences.csv").write_text("names,frames\n")
    with pytest.raises(DatasetError, match=r"OWN_VIDEO: .*sequences\.csv, line 1: a header"):
        build_dataset("OWN_VIDEO", lambda setting: found_at(tmp_path))
