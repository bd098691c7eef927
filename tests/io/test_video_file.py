"""Guards frames of a video by number: the same in any order, whatever seeking does."""

import logging
import os
import pickle
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_videos import number_of, numbered_frame, write_numbered

from lib.io.video import decoding, with_pyav
from lib.io.video.codecs import VideoError
from lib.io.video_file import (
    VideoFile,
    is_video_name,
    read_frame,
    video_frames,
)
from lib.utils.image import read_rgb

COUNT = 150  # several key frames in MPEG-4, one or two in VP8


@pytest.fixture(scope="module", params=[("a.mp4", "mp4v"), ("b.webm", "VP80"), ("c.avi", "MJPG")])
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of numbered frames in one of three containers."""
    name, codec = request.param
    return write_numbered(tmp_path_factory.mktemp("clip") / name, COUNT, codec, rate=29.97)


def in_order(path: Path) -> list[np.ndarray]:
    """All frames as OpenCV gives them one after another, RGB."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    return frames


def test_any_order_gives_the_frames_of_reading_in_order(clip: Path) -> None:
    expected = in_order(clip)
    with closing(VideoFile(clip)) as video:
        assert video.count == len(expected) == COUNT
        order = np.random.default_rng(0).integers(0, COUNT, 40).tolist()
        for index in [0, COUNT - 1, 1, 0, 75, 76, 74, 2, *order]:
            frame = video.read(index)
            assert np.array_equal(frame, expected[index]), index
            assert number_of(frame) == index


def test_colours_are_rgb(clip: Path) -> None:
    np.testing.assert_allclose(VideoFile(clip).read(0)[4, 48], numbered_frame(0)[4, 48], atol=12)


class Astray:
    """OpenCV's capture, but each seek lands a few frames away."""

    def __init__(self, off: int) -> None:
        self.off = off
        self.seeks = 0

    def __call__(self, *arguments: object) -> "Astray":
        self._capture = REAL_CAPTURE(*arguments)
        return self

    def set(self, what: int, value: float) -> bool:
        self.seeks += 1
        return self._capture.set(what, max(value + self.off, 0))

    def __getattr__(self, name: str) -> object:
        return getattr(self._capture, name)


REAL_CAPTURE = cv2.VideoCapture


@pytest.mark.parametrize("off", [-7, 3, 40, 10_000])
def test_seeking_that_lands_elsewhere_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off: int
) -> None:
    clip = write_numbered(tmp_path / "clip.mp4", COUNT)
    astray = Astray(off)
    monkeypatch.setattr(video_file.cv2, "VideoCapture", astray)
    with closing(VideoFile(clip)) as video:
        assert [number_of(video.read(i)) for i in (140, 50, 100, 5)] == [140, 50, 100, 5]
    assert astray.seeks > 2


def test_times_that_repeat_are_said_and_read_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clip = write_numbered(tmp_path / "clip.mp4", COUNT)
    monkeypatch.setattr(Astray, "get", lambda self, what: 0.0, raising=False)
    monkeypatch.setattr(video_file.cv2, "VideoCapture", Astray(0))
    with closing(VideoFile(clip)) as video:
        assert [number_of(video.read(i)) for i in (140, 50)] == [140, 50]
    assert "the times of its frames do not increase" in caplog.text


def test_frames_are_counted_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clip = write_numbered(tmp_path / "clip.mp4", 5)
    with caplog.at_level(logging.INFO):
        assert VideoFile(clip).count == VideoFile(clip).count == 5
    assert caplog.text.count("counting the frames") == 1
    write_numbered(clip, 7)
    os.utime(clip, ns=(1, 1))
    assert VideoFile(clip).count == 7  # another file under the name


def test_pickled_while_open(clip: Path) -> None:
    with closing(VideoFile(clip)) as video:
        video.read(3)
        copy = pickle.loads(pickle.dumps(video))
        assert number_of(copy.read(4)) == number_of(video.read(4)) == 4
        copy.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_reads_for_itself(clip: Path) -> None:
    with closing(VideoFile(clip)) as video:
        video.read(10)
        child = os.fork()
        if not child:
            os._exit(number_of(video.read(11)))
        assert number_of(video.read(90)) == 90
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 11


def test_frames_of_folders_and_videos_are_read_alike(tmp_path: Path) -> None:
    clip = write_numbered(tmp_path / "clip.mp4", 3)
    frames = video_frames(clip)
    assert [number_of(read_frame(frame)) for frame in frames] == [0, 1, 2]
    assert frames[0].video._capture is None  # the last one closes it
    assert str(frames[1]) == f"{clip}, frame 1"
    cv2.imwrite(str(tmp_path / "one.png"), numbered_frame(9))
    assert np.array_equal(read_frame(tmp_path / "one.png"), read_rgb(tmp_path / "one.png"))


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"text\.mp4: not a video that OpenCV .* can read"):
        VideoFile(tmp_path / "text.mp4").read(0)
    with pytest.raises(FileNotFoundError, match=r"none\.mp4"):
        VideoFile(tmp_path / "none.mp4").read(0)
    clip = write_numbered(tmp_path / "clip.mp4", 3)
    with pytest.raises(IndexError, match=r"has the frames 0 to 2; wanted: 3"):
        VideoFile(clip).read(3)


def test_names_of_videos() -> None:
    assert is_video_name("A.MP4") and is_video_name("b.x.webm")
    assert not is_video_name("a.txt") and not is_video_name(".a.mp4") and not is_video_name("mp4")
