"""The window: shows frames, says which key was pressed, and lets the user draw boxes.

Shared by tracking/test.py --show, tracking/video_demo.py --show and boxes drawn with the mouse.
"""

import os
import subprocess
import sys

import cv2
import numpy as np

from lib.io.video.draw import draw_box, write_text

TITLE = "AiATrack"
ESCAPE = 27
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
PROBE = f"import cv2; cv2.namedWindow({TITLE!r}); cv2.destroyAllWindows()"
PROBE_SECONDS = 30
PROMPT = "draw a box with the mouse, Enter takes it, c: "


class NoScreenError(OSError):
    """There is no screen, or OpenCV was built without windows."""


class Screen:
    """One window, which opens with the first image."""

    def __init__(self) -> None:
        """Raise NoScreenError where no window can be opened; OpenCV would abort the process."""
        has_screen = any(map(os.environ.get, DISPLAYS))
        if sys.platform.startswith("linux") and not has_screen:
            raise NoScreenError(
                "showing frames needs a screen, and neither DISPLAY nor WAYLAND_DISPLAY is set; "
                "leave out --show (and show_result in lib/test/evaluation/local.py)"
            )
        if "GUI:                           NONE" in cv2.getBuildInformation():
            raise NoScreenError("this OpenCV has no windows; install opencv-python, not -headless")
        if sys.platform.startswith("linux") and not _window_opens():
            displays = (f"{name}={os.environ.get(name, '')}" for name in DISPLAYS)
            raise NoScreenError(f"no window can be opened on the screen of {', '.join(displays)}")
        self._is_open = False

    def close(self) -> None:
        """Close the window; the next image opens it again."""
        cv2.destroyAllWindows()
        self._is_open = False

    def show(self, image: np.ndarray, milliseconds: int = 1) -> str:
        """Show an (H, W, 3) RGB image; return the key pressed ("r", "escape"), "" for none.

        A closed window counts as "q". The window waits for a key for so long.
        """
        if self._is_open and cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            return "q"
        cv2.imshow(TITLE, np.ascontiguousarray(image[..., ::-1]))
        self._is_open = True
        code = cv2.waitKey(milliseconds)
        if code < 0:
            return ""
        return "escape" if code & 0xFF == ESCAPE else chr(code & 0xFF)

    def show_result(self, image: np.ndarray, box_xywh: list[float], score: float) -> None:
        """Show an RGB frame with its box (pixels) and score; KeyboardInterrupt on q or Escape."""
        if self.show(draw_box(image, box_xywh, f"{score:.2f}")) in ("q", "escape"):
            raise KeyboardInterrupt

    def draw_boxes(self, image: np.ndarray, count: int | None) -> list[list[float] | None]:
        """Ask for boxes (x, y, w, h in pixels) on an (H, W, 3) RGB image.

        Args:
            count: how many, a cancelled one being None; None asks until the user cancels.
        """
        boxes: list[list[float] | None] = []
        while count is None or len(boxes) < count:
            box = self._draw_box(image, len(boxes) + 1, "ends" if count is None else "keeps it")
            if count is None and box is None:
                break
            boxes.append(box)
        return boxes

    def _draw_box(self, image: np.ndarray, target: int, cancel: str) -> list[float] | None:
        bgr = np.ascontiguousarray(image[..., ::-1])
        write_text(bgr, f"target {target}: {PROMPT}{cancel}", (6, 18), 0.5, (255, 255, 255))
        box = cv2.selectROI(TITLE, bgr, showCrosshair=False, printNotice=False)
        self._is_open = True
        return [float(v) for v in box] if box[2] > 0 and box[3] > 0 else None


def _window_opens() -> bool:
    """Try a window in another process: where no server answers, the one that tries is aborted."""
    command = [sys.executable, "-c", PROBE]
    try:
        return not subprocess.run(
            command, capture_output=True, timeout=PROBE_SECONDS, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return False
