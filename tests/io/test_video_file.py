"""Guards frames of a video by number: the same in any order, whatever seeking does.

With PyAV and without it.
"""

import logging
import os
import pickle
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_videos import (
    copy_packets,
    number_of,
    numbered_frame,
    turn,
    uninstall_pyav,
    write_numbered,
    write_timed,
)

from lib.io.video import with_opencv
from lib.io.video.codecs import VideoError
from lib.io.video.decoding import open_decoder
from lib.io.video.end import missing_end
from lib.io.video.with_pyav import load_pyav
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


@pytest.fixture(params=["PyAV", "OpenCV"], autouse=True)
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What reads videos in a test."""
    if request.param == "OpenCV":
        uninstall_pyav(monkeypatch)
    yield request.param
    load_pyav.cache_clear()


def in_order(path: Path) -> list[np.ndarray]:
    """All frames one after another, RGB."""
    frames = []
    with open_decoder(path) as decoder:
        while decoder.grab() is not None:
            frames.append(decoder.image())
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
    uninstall_pyav(monkeypatch)
    monkeypatch.setattr(with_opencv.cv2, "VideoCapture", astray)
    with closing(VideoFile(clip)) as video:
        assert [number_of(video.read(i)) for i in (140, 50, 100, 5)] == [140, 50, 100, 5]
    assert astray.seeks > 2


def test_times_that_repeat_are_said_and_read_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clip = write_numbered(tmp_path / "clip.mp4", COUNT)
    monkeypatch.setattr(Astray, "get", lambda self, what: 0.0, raising=False)
    uninstall_pyav(monkeypatch)
    monkeypatch.setattr(with_opencv.cv2, "VideoCapture", Astray(0))
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
    assert frames[0].video._decoder is None  # the last one closes it
    assert str(frames[1]) == f"{clip}, frame 1"
    cv2.imwrite(str(tmp_path / "one.png"), numbered_frame(9))
    assert np.array_equal(read_frame(tmp_path / "one.png"), read_rgb(tmp_path / "one.png"))


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"text\.mp4: not a video that .* can read"):
        VideoFile(tmp_path / "text.mp4").read(0)
    with pytest.raises(FileNotFoundError, match=r"none\.mp4"):
        VideoFile(tmp_path / "none.mp4").read(0)
    clip = write_numbered(tmp_path / "clip.mp4", 3)
    with pytest.raises(IndexError, match=r"has the frames 0 to 2; wanted: 3"):
        VideoFile(clip).read(3)


def test_names_of_videos() -> None:
    assert is_video_name("A.MP4") and is_video_name("b.x.webm")
    assert not is_video_name("a.txt") and not is_video_name(".a.mp4") and not is_video_name("mp4")


def varying(number: int) -> int:
    """Milliseconds of a frame: 100 frames a second, then 5."""
    return 10 * number if number < 30 else 300 + 200 * (number - 30)


def dropping(number: int) -> int:
    return 40 * (number + number // 3)


WHOLE = {  # name: what to write it with, frames that a player shows
    "vfr.mkv": ({"milliseconds": varying}, 60),
    "vfr.webm": ({"codec": "libvpx", "milliseconds": varying}, 60),
    "dropped.avi": ({"codec": "mpeg4", "milliseconds": dropping}, 60),
    "long_sound.mkv": ({"sound": 9.0}, 60),
    "fragments.mp4": ({"movflags": "frag_keyframe+empty_moov"}, 60),
    "packets.ts": ({}, 60),
    "trimmed.mp4": ({}, 37),  # from 0.9 s: frame 23
    "negative.mp4": ({}, 47),  # from -0.5 s: frame 13
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_that_announce_other_lengths(tmp_path: Path, name: str, reader: str) -> None:
    options, count = WHOLE[name]
    path = write_timed(tmp_path / name, **options)
    if name == "trimmed.mp4":
        path = copy_packets(path, tmp_path / f"new_{name}", start=0.9)
    if name == "negative.mp4":
        path = copy_packets(path, tmp_path / f"new_{name}", offset=-0.5)
    frames = in_order(path)
    assert [number_of(frame) for frame in frames] == list(range(60 - count, 60))
    assert not missing_end(path)
    times = VideoFile(path)._times
    milliseconds = [options.get("milliseconds", lambda n: 40 * n)(n) for n in range(60)]
    if (name, reader) != ("dropped.avi", "OpenCV"):  # there OpenCV counts frames
        expected = np.diff(milliseconds[60 - count :]) / 1000
        np.testing.assert_allclose(np.diff(times), expected, atol=0.0011)
    with closing(VideoFile(path)) as video:
        for index in np.random.default_rng(1).integers(0, count, 20).tolist():
            assert np.array_equal(video.read(index), frames[index]), index


OPEN = ["open-gop=1:keyint=24:bframes=3", "intra-refresh=1:keyint=30"]


@pytest.mark.parametrize("parameters", OPEN)
def test_key_frames_that_do_not_close_what_is_before_them(
    tmp_path: Path, reader: str, parameters: str
) -> None:
    if reader == "OpenCV":
        pytest.skip("OpenCV gives frames whose references it has jumped over")
    path = write_timed(tmp_path / "a.mkv", COUNT, encoder={"x264-params": parameters})
    expected = in_order(path)
    with closing(VideoFile(path)) as video:
        for index in np.random.default_rng(2).integers(0, COUNT, 30).tolist():
            assert np.array_equal(video.read(index), expected[index]), index


DAMAGED = ["front.mp4", "fragments.mp4", "cut.mkv", "cut.webm", "cut.avi", "cut.ts"]


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("share", [0.7, 0.83])
def test_files_that_were_cut_off(
    tmp_path: Path, name: str, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    flags = {"front.mp4": "faststart", "fragments.mp4": "frag_keyframe+empty_moov"}
    options = {"movflags": flags[name]} if name in flags else {}
    codec = {"cut.webm": "libvpx", "cut.avi": "mpeg4"}.get(name, "libx264")
    whole = write_timed(tmp_path / name, codec=codec, **options).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share) | 1])  # within a packet of .ts
    assert 0 < VideoFile(tmp_path / name).count <= 60
    assert "frames can be read; the file was cut off" in caplog.text or (
        "frames can be read; a part of it is damaged or missing" in caplog.text
    )


def test_damage_in_the_middle_is_skipped_and_told(tmp_path: Path, reader: str) -> None:
    path = write_timed(tmp_path / "a.mkv")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    path.write_bytes(content)
    with open_decoder(path) as decoder:
        count = sum(1 for _ in iter(decoder.grab, None))
        assert 10 < count < 60
        assert bool(decoder.problem) == (reader == "PyAV")


TURNS = {  # (a, b, c, d) of the display matrix: what is then seen
    (1, 0, 0, 1): lambda image: image,
    (0, 1, -1, 0): lambda image: np.rot90(image, -1),
    (-1, 0, 0, -1): lambda image: np.rot90(image, 2),
    (0, -1, 1, 0): lambda image: np.rot90(image),
    (-1, 0, 0, 1): lambda image: image[:, ::-1],
    (1, 0, 0, -1): lambda image: image[::-1],
    (0, 1, 1, 0): lambda image: image.swapaxes(0, 1),
}


@pytest.mark.parametrize("matrix", TURNS)
def test_frames_are_turned_as_the_file_says(
    tmp_path: Path, reader: str, matrix: tuple[int, int, int, int]
) -> None:
    path = write_timed(tmp_path / "a.mp4", 3)
    upright = in_order(path)
    turn(path, *matrix)
    if reader == "OpenCV" and matrix[0] * matrix[3] - matrix[1] * matrix[2] < 0:
        pytest.skip("OpenCV does not mirror")
    for found, stored in zip(in_order(path), upright, strict=True):
        assert np.array_equal(found, TURNS[matrix](stored))


def test_names_that_look_like_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("12:30:15.mp4", "file:a.mp4", "a%03d.mp4", "-i.mp4"):
        write_timed(tmp_path / "a.mp4", 3).rename(name)
        assert VideoFile(Path(name)).count == 3, name


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    """A pipe would wait for ever, and a list of files is none."""
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "pipe.mp4", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
            open_decoder(path)
    playlist = tmp_path / "list.mp4"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    with pytest.raises(VideoError, match=r"list\.mp4"):
        VideoFile(playlist).read(0)


def test_pyav_that_is_missing_is_told_once(
    tmp_path: Path, reader: str, caplog: pytest.LogCaptureFixture
) -> None:
    clip = write_numbered(tmp_path / "clip.mp4", 3)
    for _ in range(2):
        VideoFile(clip).read(1)
    assert caplog.text.count("OpenCV reads and writes videos") == (reader == "OpenCV")
