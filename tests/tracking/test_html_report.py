"""Guards the HTML report in a real browser: no errors, sorting, filtering, the pointer's chart."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.programs import run_program
from tests.test import made_up_sets as made_up

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or ""
SWITCHES = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
SHIFTS = {"airplane-1": 4, "airplane-9": 20, "zebra-10": 10}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two runs over three sequences, made by the program."""
    folder = tmp_path_factory.mktemp("report")
    made_up.lasot_own(folder / "data", list(SHIFTS), occluded="0,0,0")
    for name in SHIFTS:
        images = folder / "data" / name.rsplit("-", 1)[0] / name / "img"
        images.mkdir()
        for number in range(3):
            cv2.imwrite(str(images / f"{number + 1:08d}.jpg"), np.full((90, 160, 3), 99, np.uint8))
        made_up.write(folder / "theirs" / f"{name}_time.txt", "9\n0.1\n0.1\n")
    for run, factor in (("ours", 1), ("theirs", 0.5)):
        for name, shift in SHIFTS.items():
            made_up.results(folder / run, [name], shift=factor * shift)
    runs = ("--results", folder / "ours", folder / "theirs", "--no-plots", "--allow-missing")
    page = ("--html", folder / "out" / "report.html")
    annotations = ("--dataset", "lasot", "--annotations", folder / "data")
    done = run_program("analysis_results.py", *annotations, *runs, *page)
    assert done.returncode == 0, done.stderr
    assert f"the report is {folder / 'out' / 'report.html'}" in done.stderr
    return folder / "out" / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a screen, with an empty profile."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs a browser driver: pip install playwright"
    )
    if not BROWSER:
        pytest.skip("needs a browser: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=BROWSER, args=SWITCHES)
        yield opened
        opened.close()


@pytest.fixture
def page(report: Path, browser: Any) -> Iterator[Any]:
    """The page; whatever it complains of, or asks the network for, fails the test."""
    complaints: list[str] = []

    def note_request(asked: Any) -> None:
        if not asked.url.startswith(("file:", "data:")):
            complaints.append(asked.url)

    opened = browser.new_page()
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", note_request)
    opened.goto(report.as_uri())
    yield opened
    opened.close()
    assert complaints == []


def column(page: Any, number: int) -> list[str]:
    """Texts of a column of the table of all sequences, as shown."""
    rows = page.locator("#all-1 tbody tr:visible")
    return [row.locator("th, td").nth(number).inner_text().strip() for row in rows.all()]


def test_sorting(page: Any) -> None:
    worst_first = [float(text) for text in column(page, 3)]
    assert worst_first == sorted(worst_first) and len(worst_first) == 6
    auc = page.locator("#all-1 thead th").nth(3)
    assert auc.get_attribute("aria-sort") == "ascending"
    auc.locator("button").click()
    assert [float(text) for text in column(page, 3)] == worst_first[::-1]
    assert auc.get_attribute("aria-sort") == "descending"
    name = page.locator("#all-1 thead th").nth(0)
    name.locator("button").focus()
    page.keyboard.press("Enter")  # by keyboard alone
    assert column(page, 0) == sorted(2 * list(SHIFTS))
    assert auc.get_attribute("aria-sort") is None
    page.keyboard.press("Space")
    assert column(page, 0) == sorted(2 * list(SHIFTS), reverse=True)


def test_filtering(page: Any) -> None:
    page.get_by_placeholder("part of a name").fill("ZEBRA")
    assert set(column(page, 0)) == {"zebra-10"}
    page.get_by_placeholder("part of a name").fill("")
    assert len(column(page, 0)) == 6


def test_chart_under_the_pointer(page: Any) -> None:
    chart = page.locator("figure.chart").first
    before = chart.locator("output").all_inner_texts()
    box = chart.locator("svg").first.bounding_box()
    page.mouse.move(box["x"] + 34 / 340 * box["width"] + 1, box["y"] + 80)
    assert chart.locator("figcaption").inner_text() == "Success at 0"
    assert chart.locator("output").all_inner_texts() != before
    page.mouse.move(1, 1)
    assert chart.locator("figcaption").inner_text() == "Success"
    assert chart.locator("output").all_inner_texts() == before


def test_it_fits_a_telephone(page: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    # Tables are scrolled sideways, their first columns stay.
    table = page.locator(".scroll:has(table.overall)")
    places = [table.locator(place).first for place in ("tbody th", "tbody td")]
    before = [place.bounding_box()["x"] for place in places]
    table.evaluate("element => element.scrollLeft = 90")
    after = [place.bounding_box()["x"] for place in places]
    assert after == pytest.approx([before[0], before[1] - 90], abs=1)


def test_runs_are_ranked_with_their_speed(page: Any) -> None:
    rows = page.locator("table.overall tbody tr")
    cells = [row.locator("th, td").all_inner_texts() for row in rows.all()]
    assert [cell[0].strip() for cell in cells] == ["1theirs", "2ours"]
    assert [cell[-2].strip() for cell in cells] == ["10.0", "\N{EN DASH}"]


def test_frames_are_enlarged(page: Any) -> None:
    frame = page.locator(".enlarge").first
    frame.focus()
    page.keyboard.press("Enter")  # by keyboard alone
    large = page.locator("dialog svg")
    assert large.bounding_box()["width"] > 3 * frame.bounding_box()["width"]
    assert "frame 0" in page.locator("dialog p").inner_text()
    page.keyboard.press("Escape")
    assert not large.is_visible()
