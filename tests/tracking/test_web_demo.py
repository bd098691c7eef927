"""Guards the page in a real browser: upload, draw, track, correct, reload, take away."""

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_videos import HEIGHT, WIDTH, write_timed

from tests.tracking.test_html_report import browser  # noqa: F401 - a fixture

ROOT = Path(__file__).resolve().parents[2]
COUNT = 40
SIZES = {"desktop": (1200, 900), "phone": (390, 800)}
SECONDS = 60  # to wait for anything, on a busy machine

pytestmark = pytest.mark.slow
for package in ("gradio", "gradio_image_annotation"):
    if importlib.util.find_spec(package) is None:
        pytestmark = pytest.mark.skip(reason="needs pip install -r requirements-web.txt")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page of the program's own process, which ends with Ctrl-C."""
    folder = tmp_path_factory.mktemp("page")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    options = ["--param", "demo", "--device", "cpu", "--lost-below", "0"]
    options += ["--port", port, "--max-upload", "1mb"]
    program = str(ROOT / "tracking" / "web_demo.py")
    command = [sys.executable, program, *options, "--folder", str(folder / "work")]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        for _ in range(4 * SECONDS):
            text = (folder / "log.txt").read_text()
            if found := re.search(r"open (http://127\.0\.0\.1:\d+)", text):
                break
            assert process.poll() is None, text
            time.sleep(0.25)
        assert found, text
        yield found[1]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 130


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, address: str, browser: Any) -> Iterator[Any]:  # noqa: F811
    """The page at two sizes; errors of its scripts, and requests to elsewhere, fail the test."""
    complaints: list[str] = []

    def note_request(asked: Any) -> None:
        if not asked.url.startswith((address, "data:", "blob:")):
            complaints.append(asked.url)

    width, height = SIZES[request.param]
    opened = browser.new_page(viewport={"width": width, "height": height}, accept_downloads=True)
    opened.set_default_timeout(1000 * SECONDS)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", note_request)
    opened.goto(address)
    yield opened
    if folder := os.environ.get("AIATRACK_SCREENSHOTS"):
        opened.screenshot(path=f"{folder}/page-{request.param}.png", full_page=True)
    opened.close()
    assert complaints == []


def wait_for(page: Any, text: str) -> str:
    """Wait until the status line holds a text (a pattern); return the line."""
    line = page.locator("#status").filter(has_text=re.compile(text))
    line.wait_for()
    return line.inner_text()


def upload(page: Any, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload a video").click()
    chooser.value.set_files(path)


def draw(page: Any, box_xywh: list[float]) -> None:
    """Draw a box with the mouse, in pixels of the frame."""
    page.get_by_label("Create box").click()
    canvas = page.locator("#canvas canvas")
    canvas.scroll_into_view_if_needed()
    area = canvas.bounding_box()
    scale = min(area["width"] / WIDTH, area["height"] / HEIGHT, 1)
    left = area["x"] + (area["width"] - scale * WIDTH) / 2
    x, y, w, h = (scale * value for value in box_xywh)
    page.mouse.move(left + x, area["y"] + y)
    page.mouse.down()
    page.mouse.move(left + x + w / 2, area["y"] + y + h / 2, steps=3)
    page.mouse.move(left + x + w, area["y"] + y + h, steps=3)
    page.mouse.up()


def go_to(page: Any, number: int) -> None:
    field = page.locator("#frame input[type=number]")
    field.fill(str(number))
    field.press("Enter")
    field.blur()
    wait_for(page, f"frame {number} of")


def make(page: Any, kind: str, folder: Path) -> Path:
    """Have a file made, and download it."""
    page.get_by_label("Take away").click()
    page.get_by_role("option", name=kind, exact=True).click()
    page.get_by_role("button", name="Make the file").click()
    suffix = {"CSV": ".csv", "COCO": "coco.zip", "MP4 with boxes": ".mp4"}[kind]
    link = page.locator(f'#download a[href$="{suffix}"]')
    link.first.wait_for()
    with page.expect_download() as download:
        link.first.click()
    assert download.value.suggested_filename.endswith(suffix)
    download.value.save_as(folder / f"taken{suffix}")
    return folder / f"taken{suffix}"


def test_a_video_is_tracked_and_labelled(page: Any, tmp_path: Path) -> None:
    upload(page, write_timed(tmp_path / "clip.mp4", COUNT))
    wait_for(page, f"clip.mp4, frame 0 of {COUNT - 1}")
    # Draw in the middle, track to the end, and back to the beginning.
    go_to(page, 20)
    draw(page, [20, 14, 40, 30])
    page.get_by_role("button", name="Track ▶").click()
    wait_for(page, f"frame {COUNT - 1} of .*targets here: 1")
    page.reload()
    wait_for(page, f"frame {COUNT - 1} of {COUNT - 1}; targets here: 1")
    go_to(page, 20)
    page.get_by_role("button", name="Track backwards").click()
    wait_for(page, f"frame 0 of {COUNT - 1}; targets here: 1")
    assert re.search(
        r"video_demo\.py \S+clip\.mp4 --init [\d.,]+ --lost-below 0\.0 --param demo --device cpu",
        " ".join(page.locator("#command").inner_text().split()),
    )
    assert page.locator("#curve polyline").count() == 1
    # Correct a frame by hand, and go on from there.
    go_to(page, 30)
    page.get_by_role("button", name="Boxes are right").click()
    page.locator("#curve circle").nth(1).wait_for()
    go_to(page, 25)
    page.mouse.move(1, 1)
    draw(page, [5, 4, 30, 20])
    page.get_by_role("button", name="Track ▶").click()
    wait_for(page, f"frame {COUNT - 1} of {COUNT - 1}; targets here: 1, 2")
    # Take it away.
    rows = make(page, "CSV", tmp_path).read_text().splitlines()
    checked = [row.split(",")[:3:2] for row in rows if row.endswith(",1")]
    assert checked == [["20", "1"], ["25", "2"], ["30", "1"]]
    box = [float(v) for v in next(r for r in rows if r.startswith("20,")).split(",")[3:7]]
    assert box == pytest.approx([20, 14, 40, 30], abs=2)
    with zipfile.ZipFile(make(page, "COCO", tmp_path)) as archive:
        content = json.loads(archive.read("annotations.json"))
    assert len(content["images"]) == COUNT
    assert 0 < sum(thing["checked"] for thing in content["annotations"]) <= 3
    make(page, "MP4 with boxes", tmp_path)
    played = page.locator("#video video").evaluate(
        "video => video.play().then(() => [video.videoWidth, video.error])"
    )
    assert played == [WIDTH, None]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_uploads_that_cannot_be_used(page: Any, tmp_path: Path) -> None:
    """Each is told in a line; what was open stays."""
    (tmp_path / "damaged.mp4").write_bytes(b"no video" * 100)
    upload(page, tmp_path / "damaged.mp4")
    page.get_by_text(re.compile(r"damaged\.mp4: not a video")).first.wait_for()
    (tmp_path / "large.mp4").write_bytes(bytes(1_100_000))
    upload(page, tmp_path / "large.mp4")
    page.get_by_text(re.compile(r"[Ll]arge|exceed|maximum|too big")).first.wait_for()
    page.get_by_label("Video on this machine").fill("none.mp4")
    page.get_by_role("button", name="Open", exact=True).click()
    page.get_by_text(re.compile(r"no video 'none\.mp4'")).first.wait_for()
