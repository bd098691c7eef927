"""Guards sources of frames, the video writer, and the following of targets through them."""

import functools
import gc
import http.server
import json
import os
import resource
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_videos import number_of, write_timed

from lib.io.video.codecs import VideoError
from lib.io.video.sources import Frame, FrameSource, VideoBrokenOffError, open_source, open_sources
from lib.io.video.writer import VideoWriter
from lib.test.tracker import Output
from lib.test.tracker.following import Following
from lib.test.tracker.targets import State, Targets
from lib.tools.video import screen as screen_module
from lib.tools.video.follow import RecordWriter, follow
from lib.tools.video.painter import Painter
from lib.tools.video.screen import NoScreenError, Screen
from lib.utils.stopping import StopRequest

RED, GREEN = (220, 0, 0), (0, 220, 0)


def plain(colour: tuple[int, int, int], height: int = 48, width: int = 64) -> np.ndarray:
    """A frame of one colour, RGB."""
    return np.full((height, width, 3), colour, np.uint8)


def make_video(path: Path, frames: int = 20, codec: str = "MJPG", rate: float = 10) -> Path:
    """A red video in which nothing can be compressed away between frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, (64, 48))
    assert writer.isOpened()
    for _ in range(frames):
        writer.write(plain(RED)[..., ::-1])
    writer.release()
    return path


def cut(path: Path, share: float) -> Path:
    """A copy of the first part of a file."""
    target = path.with_name(f"cut{path.suffix}")
    content = path.read_bytes()
    target.write_bytes(content[: int(len(content) * share)])
    return target


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Twelve images whose names sort wrongly as text; frame i is i grey levels dark."""
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(12):
        cv2.imwrite(str(folder / f"f{i + 1}.png"), plain((i, i, i)))
    (folder / "notes.txt").write_text("no image")
    return folder


def test_video_file(tmp_path: Path) -> None:
    with open_source(str(make_video(tmp_path / "red.avi"))) as source:
        assert (source.length, source.rate) == (20, 10)
        frames = list(source)
    assert [f.number for f in frames] == list(range(20))
    assert [f.seconds for f in frames] == pytest.approx(np.arange(20) / 10)
    mean = frames[0].image.mean((0, 1))
    assert mean[0] > 180 and mean[2] < 40  # red is first


@pytest.mark.parametrize("pattern", ["", "/*.png", "/f*"])
def test_images_in_the_order_of_their_numbers(images: Path, pattern: str) -> None:
    with open_source(f"{images}{pattern}", rate=4) as source:
        assert source.length == 12
        frames = list(source)
    assert [int(f.image[0, 0, 0]) for f in frames] == list(range(12))
    assert frames[-1].seconds == 11 / 4


def test_images_that_a_shell_lists(images: Path) -> None:
    names = sorted(map(str, images.glob("*.png")))  # f1, f10, f11, f12, f2, ...
    source = open_sources(names)
    assert [int(f.image[0, 0, 0]) for f in source] == list(range(12))
    assert Path(source.name) == images
    with pytest.raises(VideoError, match=r"of one sequence; given: .*notes\.txt; videos are"):
        open_sources([*names, str(images / "notes.txt")])
    with pytest.raises(FileNotFoundError, match=r"no image '/none\.png' \(of 13 files\)"):
        open_sources([*names, "/none.png"])


def test_images_in_a_sequence_of_a_data_set(images: Path) -> None:
    images.rename(images.with_name("img"))
    assert open_source(str(images.parent)).length == 12


def test_stream(tmp_path: Path) -> None:
    """A video over HTTP, from a server of this test."""
    make_video(tmp_path / "red.avi")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with open_source(f"http://127.0.0.1:{server.server_port}/red.avi") as source:
            assert len(list(source)) == 20
        with pytest.raises(VideoError, match="the stream does not answer"):
            open_source(f"http://127.0.0.1:{server.server_port}/none.avi")
    finally:
        server.shutdown()
        server.server_close()


def test_truncated_video(tmp_path: Path) -> None:
    """What is there comes first, then the error with both numbers."""
    frames = []
    path = cut(make_video(tmp_path / "red.avi", 40), 0.5)
    message = r"cut.avi: (\d+) frames could be read; the file was cut off: it has \d+ bytes of"
    with pytest.raises(VideoBrokenOffError, match=message), open_source(str(path)) as source:
        frames.extend(source)
    assert 3 < len(frames) < 30


def test_image_broken_in_the_middle(images: Path) -> None:
    (images / "f8.png").write_bytes(b"x")
    frames = []
    with pytest.raises(VideoBrokenOffError, match=r"7 of 12 frames, then: .*f8.png"):
        frames.extend(open_source(str(images)))
    assert len(frames) == 7
    (images / "f1.png").write_bytes(b"x")
    with pytest.raises(VideoError, match=r"f1.png"):
        list(open_source(str(images)))


@pytest.mark.parametrize("name", ["0001", "0", "dev/video0", "rtsp:"])
def test_what_exists_goes_before_cameras_and_streams(
    images: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(images.parent)
    Path(name).parent.mkdir(exist_ok=True)
    images.rename(name)
    with open_source(name) as source:
        assert source.length == 12 and len(source.files) == 12


def test_a_pipe_among_images(images: Path) -> None:
    """It would be waited for, for ever."""
    (images / "f5.png").unlink()
    os.mkfifo(images / "f5.png")
    with pytest.raises(VideoBrokenOffError, match=r"4 of 12 .*f5.png: not a regular file"):
        list(open_source(str(images)))


def test_damage_in_a_video_is_told_after_its_last_frame(tmp_path: Path) -> None:
    path = write_timed(tmp_path / "a.mp4", movflags="faststart")
    content = bytearray(path.read_bytes())
    begin = content.index(b"mdat") + 1500
    content[begin : begin + 100] = bytes(100)
    path.write_bytes(content)
    frames = []
    with pytest.raises(VideoBrokenOffError, match=r"a\.mp4: \d+ frames could be read; FFmpeg"):
        with open_source(str(path)) as source:
            frames.extend(source)
    assert len(frames) > 30 and number_of(frames[-1].image) == 59


def test_times_of_a_rate_that_is_given(tmp_path: Path) -> None:
    path = write_timed(tmp_path / "a.mkv", 5, milliseconds=lambda number: 40 * number**2)
    for rate, expected in ((None, [0, 0.04, 0.16, 0.36, 0.64]), (10, [0, 0.1, 0.2, 0.3, 0.4])):
        with open_source(str(path), rate) as source:
            assert [frame.seconds for frame in source] == pytest.approx(expected, abs=0.001)


class FakeCamera:
    """Gives three BGR frames of red, then none."""

    def __init__(self, *_: object) -> None:
        self.left = 3

    def isOpened(self) -> bool:
        return True

    def get(self, _: int) -> float:
        return 0.0

    def grab(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, plain(RED)[..., ::-1].copy()

    def release(self) -> None:
        """Nothing is open."""


def test_camera_that_is_unplugged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    frames = []
    with pytest.raises(VideoBrokenOffError, match="camera 0: no further frame after 3"):
        with open_source("0") as source:
            assert source.length is None and source.rate == 25  # it says neither
            frames.extend(source)
    assert [f.image[0, 0].tolist() for f in frames] == [list(RED)] * 3
    assert frames[0].seconds == 0 and frames[2].seconds >= frames[1].seconds


REFUSED = [
    ("none.mp4", FileNotFoundError, "no video 'none.mp4'"),
    ("97", VideoError, "camera 97: there is no such camera"),
    ("rtsp://127.0.0.1:9/x", VideoError, "rtsp://127.0.0.1:9/x: the stream does not answer"),
    ("{tmp}/text.mp4", VideoError, "text.mp4: not a video that FFmpeg"),
    ("{tmp}/cut.mp4", VideoError, "cut.mp4: not a video that FFmpeg.*truncated"),
    ("{tmp}/empty", FileNotFoundError, "empty: no image there"),
    ("{tmp}/*.jpg", FileNotFoundError, r"\*.jpg: no image there"),
    ("{tmp}/one.png", VideoError, "one.png is one image"),
    ("{tmp}/pipe.mp4", VideoError, "pipe.mp4 is neither a regular file nor a folder"),
    ("/dev/zero", VideoError, "/dev/zero is neither a regular file nor a folder"),
    ("/dev/video97", VideoError, "camera 97: there is no such camera"),
    ("99999999999999999999", VideoError, "camera 99999999999999999999: cameras have the numbers"),
    ("²", FileNotFoundError, "no video '²'"),
    ("", FileNotFoundError, "the name of the video is empty"),
    (" ", FileNotFoundError, "the name of the video is empty"),
    ("-5", FileNotFoundError, "no video '-5'"),
]


@pytest.mark.parametrize(("source", "error", "message"), REFUSED, ids=[c[0] for c in REFUSED])
def test_refused_sources(tmp_path: Path, source: str, error: type, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    os.mkfifo(tmp_path / "pipe.mp4")
    cv2.imwrite(str(tmp_path / "one.png"), plain(RED))
    cut(make_video(tmp_path / "red.mp4", codec="mp4v"), 0.5)
    with pytest.raises(error, match=message):
        open_source(source.format(tmp=tmp_path))


def count_frames(path: Path) -> int:
    """Frames that can be decoded."""
    capture = cv2.VideoCapture(str(path))
    return sum(1 for _ in iter(lambda: capture.read()[0], False))


def test_writer_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.mp4"
    with pytest.raises(KeyboardInterrupt), VideoWriter(path) as writer:
        for _ in range(7):
            writer.write(plain(RED))
        assert not path.exists()
        raise KeyboardInterrupt
    assert count_frames(path) == 7
    with VideoWriter(path):
        """Nothing is written: what was there stays."""
    with pytest.raises(ValueError, match=r"frame 1 is \(48, 32, 3\), the first is \(48, 64, 3\)"):
        with VideoWriter(tmp_path / "b.mp4") as writer:
            writer.write(plain(RED))
            writer.write(plain(RED, width=32))
    assert count_frames(path) == 7 and count_frames(tmp_path / "b.mp4") == 1
    assert {p.name for p in tmp_path.rglob("*")} == {"new", "a.mp4", "b.mp4"}


def test_writer_falls_back_to_a_codec_that_it_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with VideoWriter(tmp_path / "a.mp4", codec="XXXX") as writer:
        writer.write(plain(GREEN))
    assert "no codec XXXX here: using avc1" in caplog.text
    assert writer.codec == "avc1" and count_frames(tmp_path / "a.mp4") == 1


def test_writer_notices_a_file_that_is_not_whole(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4")
    writer.write(plain(RED))
    writer.count = 9  # as if the disk had swallowed eight
    with pytest.raises(OSError, match=r"whole \(is the disk full\?; 1 of 9 frames are kept"):
        writer.close()
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    assert count_frames(tmp_path / "a.mp4") == 1


def test_writer_refusals(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write .*/file/a.mp4"):
        VideoWriter(tmp_path / "file" / "a.mp4")
    with pytest.raises(ValueError, match=r"a file name with .mp4; given: .*a.gif"):
        VideoWriter(tmp_path / "a.gif")
    with pytest.raises(ValueError, match=r"four characters.*'h264x'"):
        VideoWriter(tmp_path / "a.mp4", codec="h264x")


class FakeTracker:
    """Moves its box by a pixel; the score is the frame's first pixel over 100."""

    def for_new_target(self) -> "FakeTracker":
        return FakeTracker()

    def initialize(self, image: np.ndarray, box: list[float]) -> None:
        if box[0] < 0:
            raise ValueError(f"bad box {box}")
        self.box = list(box)

    def crop_search_region(self, image: np.ndarray) -> float:
        self.box[0] += 1
        return image[0, 0, 0] / 100

    @staticmethod
    def track_batch(trackers: list["FakeTracker"], views: list[float]) -> list[Output]:
        pairs = zip(trackers, views, strict=True)
        return [Output(list(t.box), score, score < 0.45) for t, score in pairs]


class FakeScreen:
    """Presses keys: frame -> key."""

    def __init__(self, keys: dict[int, str]) -> None:
        self.keys, self.shown = keys, 0

    def show(self, image: np.ndarray) -> str:
        self.shown += 1
        return self.keys.get(self.shown - 1, "")

    def draw_boxes(self, image: np.ndarray, count: int | None) -> list[list[float] | None]:
        return [[40.0, 5.0, 6.0, 7.0], None][:count]


def frames(count: int) -> Iterator[Frame]:
    for i in range(count):
        yield Frame(i, i / 10, plain((50 - i, 0, 0)))


class FakeSource(FrameSource):
    """Gives frames of a generator."""

    def __init__(self, made: Iterator[Frame]) -> None:
        super().__init__("made up", 10, None)
        self._made = made

    def __iter__(self) -> Iterator[Frame]:
        return self._made


def run(tmp_path: Path, source: Iterator[Frame], **options):
    """Follow two targets; return the summary and the records."""
    boxes = [[1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 5.0, 5.0]]
    outputs = VideoWriter(tmp_path / "a.mp4"), RecordWriter(tmp_path / "a.jsonl")
    with outputs[0], outputs[1]:
        steps = Following(FakeSource(source), Targets(FakeTracker()), lambda image: boxes)
        summary = follow(steps, outputs, **options)
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    return summary, [json.loads(line) for line in lines]


def test_records(tmp_path: Path) -> None:
    summary, records = run(tmp_path, frames(10))
    assert summary == (10, {1: 4, 2: 4}, "end", "")  # scores .49 ... .41; .45 is not below
    assert len(records) == 20 and count_frames(tmp_path / "a.mp4") == 10
    assert records[0] == {
        "frame": 0, "time": 0.0, "target": 1, "box": [1, 2, 3, 4], "score": None, "lost": False,
    }  # fmt: skip
    assert records[13] == {
        "frame": 6, "time": 0.6, "target": 2, "box": [16, 20, 5, 5], "score": 0.44, "lost": True,
    }  # fmt: skip


def test_keys(tmp_path: Path) -> None:
    """r at frame 3 starts target 1 anew and leaves target 2; Escape at frame 5 ends."""
    screen = FakeScreen({3: "r", 5: "escape"})
    summary, records = run(tmp_path, frames(10), screen=screen)
    assert (summary.frames, summary.ended_by) == (6, "key")
    assert count_frames(tmp_path / "a.mp4") == 6
    first = [r for r in records if r["target"] == 1]
    assert [r["box"][0] for r in first] == [1, 2, 3, 40, 41, 42]
    assert [r["score"] is None for r in first] == [True, False, False, True, False, False]
    assert [r["box"][0] for r in records if r["target"] == 2] == [10, 11, 12, 13, 14, 15]


def test_source_that_breaks_off(tmp_path: Path) -> None:
    def broken() -> Iterator[Frame]:
        yield from frames(3)
        raise VideoBrokenOffError("cable")

    summary, records = run(tmp_path, broken())
    assert (summary.frames, summary.ended_by, summary.detail) == (3, "broken off", "cable")
    assert len(records) == 6 and count_frames(tmp_path / "a.mp4") == 3


def test_stop_request(tmp_path: Path) -> None:
    with StopRequest(second_interrupts=True) as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.signal_number == signal.SIGTERM
        summary, records = run(tmp_path, frames(5), stop=stop)
        assert (summary.frames, summary.ended_by, len(records)) == (1, "signal", 2)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_bad_box_names_its_target_and_writes_nothing(tmp_path: Path) -> None:
    targets = Targets(FakeTracker())
    with pytest.raises(ValueError, match="target 2: bad box"):
        targets.place(plain(RED), {1: [1, 1, 5, 5], 2: [-9, 1, 5, 5]})
    assert targets.states == []
    with RecordWriter(tmp_path / "a.jsonl"):
        """Nothing is written."""
    assert not list(tmp_path.iterdir())


DOUBTS = [  # a box in an image of 320 x 240
    ((0.1, 0.2, 0.3, 0.4), "fractions"),
    ((0, 0, 1, 1), "fractions"),
    ((200, 150, 260, 230), "x1,y1,x2,y2"),
    ((10, 150, 260, 230), "x1,y1,x2,y2"),
    ((200, 150, 60, 80), ""),
    ((300, 200, 60, 80), ""),  # hangs over the edge
    ((0, 0, 320, 240), ""),
]


@pytest.mark.parametrize(("box", "word"), DOUBTS)
def test_boxes_that_look_like_something_else(
    box: tuple[float, ...], word: str, caplog: pytest.LogCaptureFixture
) -> None:
    Targets(FakeTracker()).place(plain(RED, 240, 320), {1: box})
    assert bool(caplog.text) == bool(word) and word in caplog.text


def test_a_full_disk_keeps_the_records(tmp_path: Path) -> None:
    """Whole lines remain, of every frame up to then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(OSError, match=r"cannot write .*a\.jsonl"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
            with RecordWriter(tmp_path / "a.jsonl") as records:
                for frame in frames(20):
                    records.write(
                        frame.number, frame.seconds, [State(1, [1.0, 2.0, 3.0, 4.0], 0.5, False)]
                    )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(len(lines)))
    assert 5 < len(lines) < 20 and [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]


def test_memory_does_not_grow(tmp_path: Path) -> None:
    """Of all frames read, no more than two are alive at a time."""
    alive: list[weakref.ref] = []
    most = 0

    def watched() -> Iterator[Frame]:
        nonlocal most
        for i in range(60):
            gc.collect(0)
            image = plain(RED)
            alive.append(weakref.ref(image))
            most = max(most, sum(ref() is not None for ref in alive))
            yield Frame(i, 0.0, image)
            del image

    run(tmp_path, watched())
    assert len(alive) == 60 and most <= 2


ORANGE = [230, 159, 0]


def test_drawing_says_lost(tmp_path: Path) -> None:
    """Whole lines, then dashes, in the target's own colour."""
    image = plain((44, 0, 0), 100, 100)
    for lost in (False, True):
        drawn = Painter().draw(image, 7, [State(1, [30, 40, 40, 40], None, lost)])
        edge = (drawn[80, 30:71] == ORANGE).all(1)  # the lower one
        assert edge[0] and edge[-1] and edge.all() == (not lost)
        assert 0.3 < edge.mean() < 0.8 or not lost
        assert (drawn[90:, :8] == 0).all(2).any()  # the plate of the frame's number
    assert (image == plain((44, 0, 0), 100, 100)).all()


def test_trails_are_as_long_as_asked() -> None:
    image, lengths = plain((44, 0, 0), 100, 200), []
    for trail in (0, 5):
        painter = Painter(trail)
        for x in range(10):
            drawn = painter.draw(image, x, [State(2, [10.0 * x, 40, 40, 40], 0.5, False)])
        lengths.append(int((drawn[60, 50:89] != image[60, 50:89]).any(1).sum()))
    assert lengths[0] == 0 and lengths[1] in range(17, 22)  # to the left edge of the box, at 90


FAR = [[1e308, 5, 1e308, 5], [-1e9, -1e9, 3e9, 3e9], [90, 90, 50, 50], [0, 0, 1, 1], [3, 3, 0, 0]]


@pytest.mark.parametrize("box", FAR)
@pytest.mark.parametrize("size", [(1, 1), (16, 16), (240, 320), (1080, 1920)])
def test_any_box_can_be_drawn(box: list[float], size: tuple[int, int]) -> None:
    image = plain(RED, *size)
    drawn = Painter(3).draw(image, 10**6, [State(12, box, 0.5, True)])
    assert drawn.shape == image.shape and ((drawn != image).any() or size == (1, 1))


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> dict:
    """OpenCV's windows, replaced: what is shown, and what the user does next."""
    state = {"shown": [], "key": -1, "visible": 1.0, "boxes": []}
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(screen_module, "_window_opens", lambda: True)
    fake = screen_module.cv2
    monkeypatch.setattr(fake, "imshow", lambda _, image: state["shown"].append(image))
    monkeypatch.setattr(fake, "waitKey", lambda _: state["key"])
    monkeypatch.setattr(fake, "getWindowProperty", lambda *_: state["visible"])
    monkeypatch.setattr(fake, "selectROI", lambda *_, **__: state["boxes"].pop(0))
    monkeypatch.setattr(fake, "destroyAllWindows", lambda: None)
    return state


def test_screen(window: dict) -> None:
    screen = Screen()
    keys = []
    for window["key"] in (-1, ord("r"), 27):
        keys.append(screen.show(plain(RED)))
    assert keys == ["", "r", "escape"]
    assert window["shown"][0][0, 0].tolist() == [0, 0, 220]  # windows take BGR
    window["visible"] = 0.0
    assert screen.show(plain(RED)) == "q"
    window["boxes"] = [(1, 2, 3, 4), (5, 6, 7, 8), (0, 0, 0, 0)]
    assert screen.draw_boxes(plain(RED), None) == [[1, 2, 3, 4], [5, 6, 7, 8]]
    window["boxes"] = [(0, 0, 0, 0), (5, 6, 7, 8)]
    assert screen.draw_boxes(plain(RED), 2) == [None, [5, 6, 7, 8]]


def test_screen_shows_results_until_a_key_ends_it(window: dict) -> None:
    screen = Screen()
    screen.show_result(plain(RED, 100, 100), [30, 40, 20, 20], 0.5)
    assert window["shown"][0][60, 40].tolist() == [64, 255, 64]  # the box's lower edge
    for key in "q\x1b":
        window["key"] = ord(key)
        with pytest.raises(KeyboardInterrupt):
            screen.show_result(plain(RED), [3, 4, 2, 2], 0.5)


@pytest.mark.skipif(sys.platform != "linux", reason="screens are named so on Linux")
def test_a_screen_that_no_server_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV would abort this process."""
    monkeypatch.setenv("DISPLAY", ":97")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(NoScreenError, match=r"no window can be opened .*DISPLAY=:97"):
        Screen()
