"""Guards the HTML report's content: figures, escaping, pictures, and nothing from elsewhere."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_videos import write_numbered

from lib.test.analysis import frame_strips, html_report
from lib.test.analysis.extract_results import Run
from lib.test.analysis.frame_strips import StripMaker, worst_sequences
from lib.test.analysis.html_report import write_html
from lib.test.analysis.report import Report, make_report
from tests.test import made_up_sets as made_up

NAMES = ["airplane-1", "airplane-9", "zebra-10"]
ODD = '<img src=x onerror="alert(1)">&'


class Page(HTMLParser):
    """Tags, addresses and texts of a page."""

    VOID = frozenset({"meta", "link", "input", "br", "image", "path", "rect", "polyline"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag and what it refers to."""
        self.tags.append(tag)
        self.addresses += [v or "" for k, v in attrs if k in ("href", "src", "xlink:href")]

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data.strip())


@pytest.fixture
def two_runs(tmp_path: Path) -> Report:
    """`old` is off by 15 px in all, the other in zebra-10 by 30 px and has no airplane-9."""
    made_up.lasot_toolkit(tmp_path / "data", NAMES)
    made_up.results(tmp_path / "old", NAMES, shift=15)
    made_up.results(tmp_path / "new", NAMES[:1])
    made_up.results(tmp_path / "new", NAMES[2:], shift=30)
    runs = [Run("old", (tmp_path / "old",)), Run(ODD, (tmp_path / "new",))]
    return make_report("lasot", runs, ["lasot", "otb"], tmp_path / "data")


def write(report: Report, path: Path, **options: object) -> Page:
    """Write a page and read it back."""
    write_html(path, [report], **options)
    return Page(path.read_text(encoding="utf-8"))


def test_names_are_text_and_nothing_is_from_elsewhere(two_runs: Report, tmp_path: Path) -> None:
    page = write(two_runs, tmp_path / "report.html", root=tmp_path / "data")
    assert "img" not in page.tags and ODD in page.texts
    assert all(re.match(r"data:|#part-\d$", address) for address in page.addresses)
    text = (tmp_path / "report.html").read_text()
    assert not re.search(r"https?://|url\(|@import", text.replace("http-equiv", ""))
    assert {"table", "polyline", "script", "style"} <= set(page.tags)
    assert list(tmp_path.glob(".report*")) == []


def test_figures_and_differences(two_runs: Report, tmp_path: Path) -> None:
    page = write(two_runs, tmp_path / "report.html", root=tmp_path / "data")
    first = html_report.make_part(
        two_runs, "lasot", StripMaker(two_runs.dataset, tmp_path / "data"), "AUC"
    )
    assert [item.sequence for item in first.comparisons[0].changes] == ["airplane-1", "zebra-10"]
    assert first.comparisons[0].changes[0].difference > 0
    assert any("paired bootstrap over sequences: [" in text for text in page.texts)
    assert any(text.endswith("], within chance") for text in page.texts)
    assert first.rows[0].group == "zebra-10"  # the worst
    assert f"{first.overall[0].figures['AUC']:.2f}" in page.texts
    assert [chart.plot.figure for chart in first.charts] == ["AUC", "P", "NormP"]
    assert any("no result for 278 of 280 sequences" in text for text in page.texts)
    assert page.texts.count("LaSOT") == 2  # a part each protocol
    assert any("frames cannot be read: test set lasot: no folder" in t for t in page.texts)


def test_figures_that_a_protocol_does_not_define(tmp_path: Path) -> None:
    made_up.got10k_val(tmp_path / "data", ["a", "b"])
    made_up.results(tmp_path / "run", ["a", "b"])
    report = make_report("got10k_val", [Run("run", (tmp_path / "run",))], root=tmp_path / "data")
    page = write(report, tmp_path / "report.html", root=tmp_path / "data")
    assert "NormP" not in page.texts and "AO" in page.texts
    assert page.texts.count("Normalised precision") == 0


@pytest.fixture
def own(tmp_path: Path) -> Report:
    """A folder of reddish frames and a video; the target is hidden in frame 2."""
    root = tmp_path / "own"
    (root / "walk").mkdir(parents=True)
    frame = np.zeros((90, 520, 3), np.uint8)
    frame[:] = (200, 60, 30)
    for number in range(8):
        path = root / "walk" / f"{number}.jpg"
        cv2.imwrite(str(path), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    write_numbered(root / "ride.mp4", 8)
    boxes = [f"{10 + n},20,30,40\n" for n in range(8)]
    boxes[2] = "NaN,NaN,NaN,NaN\n"
    for path in (root / "walk" / "groundtruth.txt", root / "ride.txt"):
        path.write_text("".join(boxes))
    for name in ("walk", "ride"):
        made_up.write(tmp_path / "run" / f"{name}.txt", "12,20,30,40\n" * 8)
    return make_report("own", [Run("run", (tmp_path / "run",))], root=root)


def test_pictures(own: Report, tmp_path: Path) -> None:
    maker = StripMaker(own.dataset, tmp_path / "own")
    (evaluation,) = own.evaluations
    for name in worst_sequences([evaluation]):
        strip = maker.strip(name, [evaluation])
        assert [tile.frame for tile in strip.tiles] == [0, 1, 2, 4, 5, 7] and not strip.why_none
        assert strip.tiles[2].truth is None  # hidden
        assert strip.tiles[3].truth == (14, 20, 30, 40)
        assert strip.tiles[3].predictions == [(0, (12, 20, 30, 40))]
        assert strip.tracks[0].overlap.count("M") == 2  # the curve has a gap
        data = base64.b64decode(strip.tiles[0].picture.partition(",")[2])
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape[1] == frame_strips.TILE_WIDTH
        blue, _, red = picture[2, 2]
        assert red > 150 and blue < 80  # RGB as it was
    page = write(own, tmp_path / "report.html", root=tmp_path / "own")
    assert page.tags.count("image") == 12 and "frame 2, target not visible" in page.texts


def test_a_page_that_would_grow_too_large(
    own: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html_report, "MAX_PICTURES", 10)
    page = write(own, tmp_path / "report.html", root=tmp_path / "own")
    assert page.tags.count("image") == 6  # the first sequence reaches the limit
    assert any("the page would grow too large" in text for text in page.texts)


def test_unreadable_frames_are_named(own: Report, tmp_path: Path) -> None:
    (tmp_path / "own" / "walk" / "4.jpg").write_bytes(b"")
    page = write(own, tmp_path / "report.html", root=tmp_path / "own")
    assert page.tags.count("image") == 6
    assert any("4.jpg: the file is empty" in text for text in page.texts)


def test_no_page(own: Report, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing is scored"):
        write_html(tmp_path / "report.html", [])
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError):
        write_html(tmp_path / "file" / "report.html", [own], tmp_path / "own")
