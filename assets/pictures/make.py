"""Make README's pictures anew, after `python tracking/demo.py`:

python assets/pictures/make.py               # cars.webp, contact_sheet.jpg
python assets/pictures/make.py --page        # page.jpg too; needs requirements-web.txt,
                                             # `pip install playwright` and chromium
"""

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import av
from PIL import Image

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))
WIDTH, ROWS = 480, 518  # pixels: of the moving picture; of the contact sheet at half its size
WINDOW = {"width": 1100, "height": 1140}


def moving_picture(video: Path, out: Path) -> None:
    """Write a video as an animated WebP, WIDTH pixels wide."""
    with av.open(str(video)) as file:
        rate = file.streams.video[0].average_rate
        frames = [frame.to_image() for frame in file.decode(video=0)]
    size = (WIDTH, round(WIDTH * frames[0].height / frames[0].width))
    first, *rest = [frame.resize(size, Image.Resampling.LANCZOS) for frame in frames]
    shown = {"duration": round(1000 / rate), "loop": 0, "quality": 75, "method": 6}
    first.save(out, save_all=True, append_images=rest, **shown)


def contact_sheet(sheet: Path, out: Path) -> None:
    """Write the upper rows at half the size."""
    with Image.open(sheet) as image:
        half = image.convert("RGB").resize((image.width // 2, image.height // 2))
    half.crop((0, 0, half.width, min(half.height, ROWS))).save(out, quality=85)


def page(video: Path, boxes: list[list[int]], out: Path) -> None:
    """Draw boxes on the page with the mouse, track, and take a picture of a frame."""
    from playwright.sync_api import sync_playwright

    folder = tempfile.mkdtemp()
    command = [sys.executable, str(ROOT / "tracking" / "web_demo.py"), str(video)]
    command += ["--param", "demo", "--device", "cpu", "--port", "7869", "--folder", folder]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = next(found[0] for line in server.stdout if (found := re.search(r"http\S+", line)))
        with sync_playwright() as driver:
            options = {"executable_path": shutil.which("chromium"), "args": ["--no-sandbox"]}
            tab = driver.chromium.launch(**options).new_page(viewport=WINDOW)
            tab.set_default_timeout(300_000)
            tab.goto(address)
            status = tab.locator("#status")
            status.filter(has_text="frame 0 of").wait_for()
            for box in boxes:
                draw(tab, box)
            tab.get_by_role("button", name="Track ▶").click()
            status.filter(has_text=re.compile(r"frame (\d+) of \1")).wait_for()
            field = tab.locator("#frame input[type=number]")
            field.fill("8")
            field.press("Enter")
            field.blur()
            status.filter(has_text="frame 8 of").wait_for()
            tab.wait_for_timeout(2000)
            tab.screenshot(path=out, type="jpeg", quality=80)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


def draw(tab, box: list[int]) -> None:
    """Draw a box (x, y, w, h) with the mouse, in pixels of the 768 x 432 frame."""
    tab.get_by_label("Create box").click()
    canvas = tab.locator("#canvas canvas")
    canvas.scroll_into_view_if_needed()
    area = canvas.bounding_box()
    scale = min(area["width"] / 768, area["height"] / 432, 1)
    left, top = area["x"] + (area["width"] - scale * 768) / 2, area["y"]
    x, y, w, h = (scale * value for value in box)
    tab.mouse.move(left + x, top + y)
    tab.mouse.down()
    for part in (0.5, 1):
        tab.mouse.move(left + x + part * w, top + y + part * h, steps=3)
    tab.mouse.up()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", action="store_true", help="make page.jpg too")
    args = parser.parse_args()
    moving_picture(ROOT / "demo" / "cars.mp4", HERE / "cars.webp")
    contact_sheet(ROOT / "demo" / "contact_sheet.png", HERE / "contact_sheet.jpg")
    if args.page:
        video = ROOT / "assets" / "videos" / "cars.mp4"
        page(video, [[316, 133, 162, 293], [90, 72, 160, 312]], HERE / "page.jpg")


if __name__ == "__main__":
    main()
