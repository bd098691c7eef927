"""A window with the frame and its box, where there is a screen."""

import os
import sys

import cv2
import numpy as np


class NoScreenError(OSError):
    """There is no screen, or OpenCV was built without windows."""


def require_screen() -> None:
    """Check that a window can be opened; OpenCV itself would abort the process.

    Raises:
        NoScreenError: says what is missing.
    """
    has_screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not has_screen:
        raise NoScreenError(
            "showing frames needs a screen, and neither DISPLAY nor WAYLAND_DISPLAY is set; "
            "leave out --show (and show_result in lib/test/evaluation/local.py)"
        )
    if "GUI:                           NONE" in cv2.getBuildInformation():
        raise NoScreenError("this OpenCV has no windows; install opencv-python, not -headless")


class Display:
    """Shows frames while it is entered; Escape or q stops the program."""

    TITLE = "AiATrack"

    def __init__(self, *, enabled: bool = True) -> None:
        """Check for a screen if enabled. Raises NoScreenError."""
        self.enabled = enabled
        if enabled:
            require_screen()

    def __enter__(self) -> "Display":
        """Nothing opens before the first frame."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the window."""
        if self.enabled:
            cv2.destroyAllWindows()

    def frame(self, image: np.ndarray, box_xywh: list[float], score: float) -> None:
        """Show an (H, W, 3) RGB frame with its box (image pixels) and score in [0, 1]."""
        cv2.imshow(self.TITLE, draw_box(image, box_xywh, score)[..., ::-1])
        if cv2.waitKey(1) & 0xFF in (27, ord("q")):
            raise KeyboardInterrupt


def draw_box(
    image: np.ndarray,
    box_xywh: list[float],
    score: float | None = None,
    colour: tuple[int, int, int] = (64, 255, 64),
) -> np.ndarray:
    """Return a copy of an RGB image with a box (image pixels) and its score drawn on it."""
    drawn = image.copy()
    x, y, w, h = (round(v) for v in box_xywh)
    thickness = max(1, round(max(image.shape[:2]) / 400))
    cv2.rectangle(drawn, (x, y), (x + w, y + h), colour, thickness)
    if score is not None:
        size = max(0.4, image.shape[0] / 900)
        at = (x, max(12, y - 4))
        cv2.putText(drawn, f"{score:.2f}", at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, thickness)
    return drawn
