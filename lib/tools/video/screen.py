"""A window that shows frames, tells which key was pressed, and lets the user draw boxes.

Neighbours: evaluation/display.py checks that there is a screen; follow.py uses this one.
"""

import cv2
import numpy as np

from lib.tools.video.display import require_screen

TITLE = "AiATrack"
ESCAPE = 27
PROMPT = "draw a box with the mouse, Enter takes it, c: "


class Screen:
    """One window."""

    def __init__(self) -> None:
        """Check for a screen. Raises NoScreenError."""
        require_screen()
        self._shown = False

    def __enter__(self) -> "Screen":
        """Nothing opens before the first frame."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the window."""
        self.close()

    def close(self) -> None:
        """Close the window; the next frame opens it again."""
        cv2.destroyAllWindows()
        self._shown = False

    def show(self, image: np.ndarray) -> str:
        """Show an (H, W, 3) RGB image.

        Returns:
            The key pressed ("r"), "escape", "" for none; "q" too when the window was closed.
        """
        if self._shown and cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            return "q"
        cv2.imshow(TITLE, np.ascontiguousarray(image[..., ::-1]))
        self._shown = True
        code = cv2.waitKey(1)
        if code < 0:
            return ""
        return "escape" if code & 0xFF == ESCAPE else chr(code & 0xFF)

    def draw_boxes(self, image: np.ndarray, count: int | None) -> list[list[float] | None]:
        """Ask for boxes on an (H, W, 3) RGB image.

        Args:
            count: so many, None in the list for each that the user cancels; or None: until the
                user cancels.

        Returns:
            x, y, w, h in image pixels each.
        """
        boxes: list[list[float] | None] = []
        while count is None or len(boxes) < count:
            box = self._draw_box(image, len(boxes) + 1, "ends" if count is None else "keeps it")
            if count is None and box is None:
                break
            boxes.append(box)
        return boxes

    def _draw_box(self, image: np.ndarray, target: int, cancel: str) -> list[float] | None:
        """Let the user draw one box; None if cancelled."""
        shown = np.ascontiguousarray(image[..., ::-1])
        for line, shade in ((3, (0, 0, 0)), (1, (255, 255, 255))):
            text = f"target {target}: {PROMPT}{cancel}"
            cv2.putText(shown, text, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, shade, line)
        box = cv2.selectROI(TITLE, shown, showCrosshair=False, printNotice=False)
        self._shown = True
        return [float(v) for v in box] if box[2] > 0 and box[3] > 0 else None
