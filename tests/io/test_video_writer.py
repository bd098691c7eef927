"""Guards videos that are written: what plays them, their times, and what a full disk leaves."""

import contextlib
import re
import resource
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from made_videos import HEIGHT, WIDTH, number_of, numbered_frame, uninstall_pyav

from lib.io.video.decoding import open_decoder
from lib.io.video.end import missing_end
from lib.io.video.pyav_encoder import PyAvEncoder
from lib.io.video.with_pyav import load_pyav
from lib.io.video.writer import VideoWriter

COUNT = 40


@pytest.fixture
def no_pyav(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    uninstall_pyav(monkeypatch)
    yield
    load_pyav.cache_clear()


def write(path: Path, times: list[float] | None = None, **options) -> VideoWriter:
    with VideoWriter(path, **options) as video:
        for number in range(COUNT):
            video.write(numbered_frame(number), times[number] if times else None)
    return video


def read(path: Path) -> tuple[list[np.ndarray], list[float]]:
    """Frames and their times."""
    frames, times = [], []
    with open_decoder(path) as decoder:
        while (seconds := decoder.grab()) is not None:
            frames.append(decoder.image())
            times.append(seconds)
    return frames, times


@pytest.mark.parametrize("rate", [25, 29.97, 0.5, 240])
def test_what_browsers_play(tmp_path: Path, rate: float) -> None:
    """H.264 in 4:2:0, the index before the frames, in colours that are named."""
    video = write(tmp_path / "a.mp4", rate=rate)
    content = video.path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat") and b"moof" not in content
    with av.open(str(video.path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.frames == COUNT and stream.codec_context.colorspace == 1
    frames, times = read(video.path)
    assert [number_of(frame) for frame in frames] == list(range(COUNT))
    np.testing.assert_allclose(frames[0][4, 48], numbered_frame(0)[4, 48], atol=4)
    np.testing.assert_allclose(times, np.arange(COUNT) / rate, atol=1e-4)


def test_times_are_kept(tmp_path: Path) -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.001, 0.5, COUNT))
    times -= times[0]
    found = read(write(tmp_path / "a.mp4", times.tolist()).path)[1]
    np.testing.assert_allclose(found, times, atol=1e-4)
    found = read(write(tmp_path / "b.mp4", [0.0] * COUNT).path)[1]
    assert (np.diff(found) > 0).all()  # a clock that stands still


@pytest.mark.parametrize("size", [(63, 96), (64, 97), (1, 1), (63, 97)])
def test_odd_sides_repeat_their_last_pixels(tmp_path: Path, size: tuple[int, int]) -> None:
    height, width = size
    image = np.full((*size, 3), (200, 90, 40), np.uint8)
    with VideoWriter(tmp_path / "a.mp4") as video:
        for _ in range(3):
            video.write(image)
    frames, _ = read(video.path)
    assert len(frames) == 3 and frames[0].shape == (height + height % 2, width + width % 2, 3)
    np.testing.assert_allclose(frames[0], np.broadcast_to(image[0, 0], frames[0].shape), atol=6)


@pytest.mark.parametrize("codec", ["avc1", "hvc1", "av01", "vp09", "mp4v", "MP4V"])
def test_codecs(tmp_path: Path, codec: str) -> None:
    video = write(tmp_path / "a.mp4", codec=codec)
    assert video.codec == codec
    assert [number_of(frame) for frame in read(video.path)[0]] == list(range(COUNT))


def test_without_pyav(tmp_path: Path, no_pyav: None) -> None:
    video = write(tmp_path / "a.mp4")
    assert video.codec == "mp4v" and len(list(tmp_path.iterdir())) == 1
    assert [number_of(frame) for frame in read(video.path)[0]] == list(range(COUNT))


@contextlib.contextmanager
def small_files(limit: int = 60_000) -> Iterator[None]:
    """No file can grow beyond this many bytes in the block, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def noise(number: int) -> np.ndarray:
    """A frame that cannot be compressed to less than some kilobytes."""
    return np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)


def test_a_full_disk_keeps_what_was_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.mp4"
    with pytest.raises(OSError, match=r"cannot write .*a\.mp4: File too large"), small_files():
        with VideoWriter(path, rate=2) as video:  # a fragment every four frames
            for number in range(400):
                video.write(noise(number))
    assert "could not be written whole (File too large; " in caplog.text
    frames, _ = read(path)
    assert 3 < len(frames) < 400 and not missing_end(path)
    assert cv2.VideoCapture(str(path)).read()[0]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("room", "kept"), [(None, "8"), (20_000, "[1-7]"), (100, "0")])
def test_a_disk_that_fills_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int | None, kept: str
) -> None:
    """The copy with its index in front does not fit any more, or not even all fragments do."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.mp4"
    video = VideoWriter(path, rate=2)
    for number in range(8):
        video.write(noise(number))
    if room is None:
        monkeypatch.setattr(PyAvEncoder, "_remux", full)
        room = 60_000
    elif room > 100:
        room += next(tmp_path.glob(".a.mp4*")).stat().st_size
    match = rf"could not be written whole .*; {kept} of 8 frames are"
    with pytest.raises(OSError, match=match), small_files(room):
        video.close()
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"] * (kept != "0")
    assert kept == "0" or re.fullmatch(kept, str(len(read(path)[0])))
