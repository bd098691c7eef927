"""Guards what the page does, without a browser: sessions, labels, boxes on the canvas, exports."""

import csv
import json
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_videos import HEIGHT, WIDTH, number_of, numbered_frame, write_timed

from lib.io.layouts import write_image
from lib.io.own_data import own_boxes, own_frames, own_sequences
from lib.io.store import FolderStore
from lib.io.video.codecs import VideoError
from lib.io.video.sources import Frame, FrameSource
from lib.io.video_file import VideoFile
from lib.test.tracker import Output
from lib.test.tracker.targets import State
from lib.tools.web import session as session_module
from lib.tools.web.canvas import from_page, to_page
from lib.tools.web.curve import score_curve
from lib.tools.web.export import KINDS, export
from lib.tools.web.labels import GONE, Labels
from lib.tools.web.page import Page
from lib.tools.web.session import Session
from lib.utils.image import read_rgb

COUNT = 12
BOX, OTHER = [10.0, 20, 30, 20], [50.0, 10, 20, 20]


class FakeTracker:
    """Moves its box by a pixel a frame; is lost from x = 15 to 17; waits where it is told to."""

    gate = threading.Event()
    gate.set()

    def for_new_target(self) -> "FakeTracker":
        return FakeTracker()

    def initialize(self, image: np.ndarray, box: list[float]) -> None:
        self.box = list(box)

    def crop_search_region(self, image: np.ndarray) -> None:
        self.gate.wait(10)
        self.box[0] += 1

    @staticmethod
    def track_batch(trackers: list["FakeTracker"], views: list[None]) -> list[Output]:
        return [Output(list(t.box), 0.5, 15 <= t.box[0] <= 17) for t in trackers]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """Twelve numbered frames are open; nothing is drawn."""
    made = Session(FakeTracker(), tmp_path / "work", "--param demo")
    made.open(str(write_timed(tmp_path / "my clip.mp4", COUNT)))
    return made


def track(session: Session, frame: int, *, backwards: bool = False) -> None:
    session.start(frame, backwards=backwards)
    session.wait(20)
    assert not session.running and session.problem == ""


def lefts(session: Session, target: int) -> list[float | None]:
    """x of a target's box in every frame."""
    states = session.labels.track(target)
    return [states[n].box_xywh[0] if n in states else None for n in range(session.count)]


def test_a_box_is_followed_both_ways(session: Session) -> None:
    session.labels.draw(4, [(None, BOX)])
    track(session, 4)
    assert lefts(session, 1) == [None] * 4 + [10, 11, 12, 13, 14, 15, 16, 17]
    assert "a target with a box in frame 0 is needed" in session.command()
    track(session, 4, backwards=True)
    assert lefts(session, 1)[:5] == [14, 13, 12, 11, 10]
    states = session.labels.track(1)
    assert [n for n, state in states.items() if state.score is None] == [4]
    assert [n for n, state in states.items() if state.lost] == [9, 10, 11]
    assert session.labels.lost_after(0) == 9 and session.labels.lost_after(9) is None
    assert session.command().endswith(
        "my clip.mp4' --init 14,20,30,20 --param demo"
    )  # of the first frame, to be pasted into a shell
    drawn = session.drawn()
    assert drawn is not None and drawn.shape == (HEIGHT, WIDTH, 3) and session.at == 0


def test_a_correction_changes_its_target_up_to_what_was_checked(session: Session) -> None:
    session.labels.draw(0, [(None, BOX), (None, OTHER)])
    track(session, 0)
    others = lefts(session, 2)
    session.labels.check(9)  # both
    session.labels.draw(5, [(1, [30.0, 5, 10, 10]), (2, session.labels.track(2)[5].box_xywh)])
    track(session, 5)
    assert lefts(session, 1) == [10, 11, 12, 13, 14, 30, 31, 32, 33, 19, 20, 21]
    assert lefts(session, 2) == others
    assert [s.score is None for s in session.labels.track(1).values()].count(True) == 3
    track(session, 5, backwards=True)
    assert lefts(session, 1)[:6] == [10, 34, 33, 32, 31, 30]


def test_a_deleted_box_says_that_the_target_is_gone(session: Session) -> None:
    session.labels.draw(0, [(None, BOX)])
    track(session, 0)
    session.labels.draw(6, [])
    assert session.labels.at(6) == [State(1, GONE, None, True)]
    session.labels.draw(3, [(1, [60.0, 5, 10, 10])])
    track(session, 3)
    assert lefts(session, 1)[3:8] == [60, 61, 62, 0, 17]  # nothing is followed beyond
    with pytest.raises(ValueError, match="frame 6 has no box to go on from"):
        session.start(6)
    session.labels.draw(2, [(None, OTHER), (1, session.labels.track(1)[2].box_xywh)])
    session.labels.draw(2, [(1, session.labels.track(1)[2].box_xywh)])
    assert session.labels.targets == [1]  # drawn by mistake, and nowhere else


def test_stop_and_go_on(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(FakeTracker, "gate", gate)
    session.labels.draw(0, [(None, BOX)])
    session.start(0)
    assert session.running and "tracking" in session.status(0)
    with pytest.raises(ValueError, match="it is tracking already; stop it first"):
        session.start(0)
    session.stop()
    gate.set()
    session.wait(20)
    reached = session.at
    assert reached < COUNT - 1 and len(session.labels.track(1)) == reached + 1
    track(session, reached)
    assert lefts(session, 1) == list(range(10, 22))
    assert session.labels.track(1)[reached].score is not None or reached == 0  # nobody checked it


def test_what_cannot_be_opened_leaves_what_was_open(session: Session, tmp_path: Path) -> None:
    session.labels.draw(0, [(None, BOX)])
    (tmp_path / "text.mp4").write_text("no video")
    for name, message in (
        ("text.mp4", "text.mp4: not a video"),
        ("none.mp4", "no video"),
        ("", "the name of the video is empty"),
    ):
        path = str(tmp_path / name) if name else ""
        with pytest.raises((VideoError, FileNotFoundError), match=message):
            session.open(path)
    assert session.count == COUNT and session.labels.targets == [1]
    with pytest.raises(ValueError, match="no video is open"):
        Session(FakeTracker(), tmp_path).frame(0)


def test_a_damaged_video_is_used_as_far_as_it_goes(session: Session, tmp_path: Path) -> None:
    whole = write_timed(tmp_path / "long.mp4", 60, movflags="faststart").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: int(len(whole) * 0.8)])
    session.open(str(tmp_path / "cut.mp4"))
    assert 10 < session.count < 60
    assert f"{session.count} frames can be read; the file was cut off" in session.status(0)
    session.labels.draw(0, [(None, BOX)])
    session.start(0)
    session.wait(20)
    assert len(session.labels.track(1)) == session.count


class FakeCamera(FrameSource):
    """Six frames, then the cable is pulled."""

    def __init__(self, *_: object) -> None:
        super().__init__("camera 0", 10, None)
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        for number in range(6):
            yield Frame(number, number / 10, numbered_frame(number))

    def __exit__(self, *_: object) -> None:
        self.closed = True


def test_a_camera_is_recorded(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = FakeCamera()
    monkeypatch.setattr(session_module, "open_source", lambda name: camera)
    session.open("0")
    assert session.count == 1
    session.labels.draw(0, [(None, BOX)])
    track(session, 0)
    assert session.count == 6 and lefts(session, 1) == [10, 11, 12, 13, 14, 15]
    assert [number_of(session.frame(n).image) for n in (5, 2)] == [5, 2]
    session.labels.draw(3, [(1, [40.0, 5, 10, 10])])
    track(session, 3, backwards=True)
    assert lefts(session, 1)[1:4] == [42, 41, 40]
    path = export(session, "CSV")
    assert path.name == "camera_0.csv"
    session.close()
    assert camera.closed


@pytest.fixture
def labelled(session: Session) -> Session:
    """Target 1 is everywhere and lost at the end; target 2 comes in frame 4."""
    session.labels.draw(4, [(None, BOX), (None, OTHER)])
    track(session, 4)
    session.labels.draw(4, [(1, BOX), (2, OTHER)])
    for number in range(4):
        session.labels.put(number, State(1, [6.0 + number, 20, 30, 20], 0.5, False))
    return session


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_take_away(session: Session, kind: str) -> None:
    with pytest.raises(ValueError, match="there is no box yet"):
        export(session, kind)


def test_tables_and_video(labelled: Session) -> None:
    paths = [export(labelled, kind) for kind in ("MP4 with boxes", "JSON lines", "CSV")]
    assert [path.name for path in paths] == ["my_clip.mp4", "my_clip.jsonl", "my_clip.csv"]
    assert VideoFile(paths[0]).count == COUNT
    records = [json.loads(line) for line in paths[1].read_text().splitlines()]
    rows = list(csv.DictReader(paths[2].read_text().splitlines()))
    assert len(records) == len(rows) == COUNT + 8
    for record, row in zip(records, rows, strict=True):
        assert [float(row[side]) for side in "xywh"] == record["box"]
        assert int(row["checked"]) == (record["score"] is None) == (record["frame"] == 4)
        assert int(row["lost"]) == record["lost"]
    assert (rows[4]["frame"], rows[4]["time"], rows[4]["score"]) == ("4", "0.16", "")
    with pytest.raises(ValueError, match="wanted: 'GIF'"):
        export(labelled, "GIF")


def test_what_is_there_stays(labelled: Session) -> None:
    """Results of before, and a video that lies where results go."""
    first = export(labelled, "MP4 with boxes")
    before = first.read_bytes()
    labelled.open(str(first))
    labelled.labels.draw(0, [(None, BOX)])
    names = [export(labelled, kind).name for kind in ("MP4 with boxes", "MP4 with boxes", "CSV")]
    assert names == ["my_clip-2.mp4", "my_clip-3.mp4", "my_clip.csv"]
    assert first.read_bytes() == before


def test_frames_of_another_run_are_not_shown(tmp_path: Path) -> None:
    pytest.importorskip("gradio_image_annotation", reason="pip install -r requirements-web.txt")
    shown = []
    for number in (0, 2):  # of other videos, each the first of its run
        session = Session(FakeTracker(), tmp_path / "work")
        write_image(tmp_path / str(number) / "1.png", numbered_frame(number))
        session.open(str(tmp_path / str(number)))
        page = Page(session)
        shown.append(number_of(read_rgb(Path(page._show(0)[page.canvas]["value"]["image"]))))
    assert shown == [0, 2]


LAYOUTS = {  # text files, and which frames target 2's folder has
    "own data": ("my_clip-2/groundtruth.txt", "my_clip-2/img/{:08d}.jpg"),
    "OTB": ("my_clip-2/groundtruth_rect.txt", "my_clip-2/img/{:04d}.jpg"),
    "LaSOT": ("my_clip/my_clip-2/groundtruth.txt", "my_clip/my_clip-2/img/{:08d}.jpg"),
    "GOT-10k": ("train/my_clip-2/groundtruth.txt", "train/my_clip-2/{:08d}.jpg"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_data_sets(labelled: Session, layout: str, tmp_path: Path) -> None:
    boxes, image = LAYOUTS[layout]
    with zipfile.ZipFile(export(labelled, layout)) as archive:
        names = archive.namelist()
        assert {image.format(n) for n in range(1, 9)} <= set(names)
        assert image.format(9) not in names
        lines = archive.read(boxes).decode().splitlines()
        checked = archive.read(str(Path(boxes).with_name("checked.txt"))).decode().split()
        first = cv2.imdecode(
            np.frombuffer(archive.read(image.format(1)), np.uint8), cv2.IMREAD_COLOR
        )
    assert [float(v) for v in lines[0].split(",")] == OTHER and len(lines) == 8
    assert checked == ["1", *["0"] * 7] and number_of(first) == 4
    assert [p.name for p in labelled.folder.iterdir() if p.suffix != ".zip"] == []


def test_own_data_is_read_back(labelled: Session, tmp_path: Path) -> None:
    for layout, name in (("own data", "my_clip-1"), ("COCO", "my_clip-1_1")):
        root = tmp_path / layout
        with zipfile.ZipFile(export(labelled, layout)) as archive:
            archive.extractall(root)
        store = FolderStore(root)
        sequence = own_sequences(store)[name]
        boxes = own_boxes(store, sequence)
        assert len(own_frames(store, sequence)) == len(boxes)
        assert boxes[:, 0][:9].tolist() == list(range(6, 15))
        assert np.isnan(boxes[9:]).all()  # lost, and nobody looked
    content = json.loads((tmp_path / "COCO" / "annotations.json").read_text())
    assert len(content["videos"]) == 1 and len(content["images"]) == COUNT
    assert sum(thing["checked"] for thing in content["annotations"]) == 2


STATES = [State(1, [10.3, 20.4, 30.2, 20.1], 0.5, True), State(3, [-5.0, 50, 20, 30], None, False)]


def test_boxes_come_back_as_they_were() -> None:
    """Whole pixels, and no pixel outside of the image, are no corrections."""
    boxes = to_page([*STATES, State(4, GONE, None, True)], WIDTH, HEIGHT)
    assert [box["label"] for box in boxes] == ["1 lost", "3 ✓"]
    assert [boxes[1][side] for side in ("xmin", "ymin", "xmax", "ymax")] == [0, 50, 15, HEIGHT]
    back = from_page(boxes[::-1], STATES, (WIDTH, HEIGHT), None)  # the page puts new ones first
    assert back == [(state.target, state.box_xywh) for state in STATES]


def test_boxes_that_people_changed() -> None:
    one, three = to_page(STATES, WIDTH, HEIGHT)
    drawn = {"xmin": 1, "ymin": 2, "xmax": 11, "ymax": 22, "label": ""}
    same, new_box = [(state.target, state.box_xywh) for state in STATES], [1, 2, 10, 20]
    cases = [  # boxes, whose a drawn box is: targets
        ([one | {"xmin": 14}, three], None, [(1, [14, 20, 26, 20]), same[1]]),
        ([three, drawn], None, [same[1], (1, new_box)]),
        ([one, three, drawn], None, [*same, (None, new_box)]),
        ([one, three, drawn, drawn], 2, [*same, (2, new_box), (None, new_box)]),
    ]
    for boxes, new, expected in cases:
        assert from_page(boxes[::-1], STATES, (WIDTH, HEIGHT), new) == expected


def test_numbers_of_targets() -> None:
    labels = Labels()
    labels.draw(0, [(None, BOX), (None, OTHER)])
    labels.draw(5, [(2, BOX), (None, OTHER)])
    assert labels.targets == [1, 2, 3]
    with pytest.raises(ValueError, match="two boxes are of target 2"):
        labels.draw(5, [(2, BOX), (2, OTHER)])
    assert not labels.put(0, State(1, OTHER, 0.5, False))
    assert labels.track(1)[0].box_xywh == BOX


def test_without_gradio(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # restored afterwards, as the next one is
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "")
    with pytest.raises(ImportError, match="needs Gradio: pip install -r requirements-web"):
        Page(session)


def test_the_curve_of_a_long_video_stays_small() -> None:
    labels = Labels()
    for number in range(20_000):
        labels.put(number, State(1, BOX, 0.9, number == 7777))
    picture = score_curve(labels, 20_000, 5)
    assert len(picture) < 20_000 and picture.count("<polyline") == 1
    assert "#222" in picture and "20000" not in picture and "19999" in picture
