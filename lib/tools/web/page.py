"""The page around a session, in Gradio: draws, asks and shows; what it does is in session.py.

Gradio is imported when a page is made, as it is optional (requirements-web.txt).
"""

import os
import re
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from lib.cli.program import USERS_ERRORS
from lib.io.layouts import write_image
from lib.tools.web.canvas import from_page, to_page
from lib.tools.web.curve import score_curve
from lib.tools.web.export import export
from lib.tools.web.parts import CSS, NEW, Parts
from lib.tools.web.session import Session
from lib.utils.messages import one_line

TICK = 0.5  # seconds between two looks at a run
TOAST = 6  # seconds that a problem covers a part of the page
LIVE_WIDTH = 960  # pixels of the frames that come while tracking


class Page(Parts):
    """One page for one session; whoever opens it sees the same."""

    def __init__(self, session: Session) -> None:
        """Raise ImportError where Gradio is not installed; says how to install it."""
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        self._uploads = os.environ["GRADIO_TEMP_DIR"] = str(session.folder.resolve() / "uploads")
        try:
            import gradio
            from gradio_image_annotation import image_annotator
        except ImportError as error:
            text = f"the page needs Gradio: pip install -r requirements-web.txt ({error})"
            raise ImportError(text) from error
        self._gradio, self.session = gradio, session
        session.folder.mkdir(parents=True, exist_ok=True)
        # Its own: frames of another run's videos have the same numbers. Removed at the end.
        self._shown = tempfile.TemporaryDirectory(prefix="shown-", dir=session.folder)
        with gradio.Blocks(title="AiATrack", analytics_enabled=False) as self.blocks:
            super().__init__(gradio, image_annotator)
            self.timer = gradio.Timer(TICK)
            self._wire()

    def launch(self, port: int | None, max_upload: str) -> str:
        """Serve on 127.0.0.1, in threads; return the address. OSError: the port is taken."""
        gradio = self._gradio
        fonts = ["system-ui", "sans-serif"]  # the machine's own: others come from the network
        theme = gradio.themes.Default(font=fonts, font_mono=["ui-monospace", "monospace"])
        _, address, _ = self.blocks.queue().launch(
            server_name="127.0.0.1",
            server_port=port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            allowed_paths=[str(self.session.folder)],
            max_file_size=max_upload,
            ssr_mode=False,
            theme=theme,
            css=CSS,
            footer_links=[],
        )
        return str(address)

    def _wire(self) -> None:
        drawing = [self.canvas, self.shown, self.new]
        view = [
            *(self.canvas, self.live, self.slider, self.moves, self.actions, self.backwards),
            *(self.stop, self.forwards, self.new, self.curve, self.status, self.results),
            *(self.command, self.shown, self.was_running),
        ]

        def wire(event: Callable, function: Callable, inputs: list[Any]) -> None:
            busy = {"show_progress": "minimal", "show_progress_on": self.status}
            event(self._told(function), inputs, view, **busy)

        wire(self.blocks.load, lambda: self._show(self.session.at), [])
        wire(self.open_button.click, self._open, [self.name])
        wire(self.name.submit, self._open, [self.name])
        wire(self.upload.upload, self._open, [self.upload])
        wire(self.slider.release, self._go, [*drawing, self.slider])
        wire(self.back.click, lambda d, shown, new: self._go(d, shown, new, shown - 1), drawing)
        wire(self.ahead.click, lambda d, shown, new: self._go(d, shown, new, shown + 1), drawing)
        wire(self.next_lost.click, self._go_to_lost, drawing)
        wire(self.right.click, self._check, drawing)
        wire(self.forwards.click, self._track, drawing)
        wire(self.backwards.click, partial(self._track, backwards=True), drawing)
        self.stop.click(self.session.stop)
        self.timer.tick(self._tick, [self.was_running], view, show_progress="hidden")
        outputs = [self.file, self.video, self.status]
        inputs = [*drawing, self.kind]
        self.make.click(self._told(self._export), inputs, outputs, show_progress_on=self.file)

    def _told(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Say what is wrong with users' input in the status line, and before their eyes."""

        def call(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except (IndexError, *USERS_ERRORS) as error:
                text = one_line(re.sub(rf"{re.escape(self._uploads)}/\w+/", "", str(error)), 400)
                self._gradio.Warning(text, duration=TOAST)
                return {self.status: f"⚠ {text}"}

        return call

    # What events call; each returns updates of the view.

    def _open(self, name: str | None) -> dict[Any, Any]:
        self.session.open(name or "")
        return self._show(0)

    def _keep(self, drawn: dict[str, Any] | None, shown: int, new: str) -> None:
        """Take the boxes of the canvas over into the labels."""
        if drawn is None or self.session.running or not self.session.count:
            return
        if drawn.get("orientation"):
            raise ValueError("the frame was turned: open it anew and leave it as it is")
        states, target = self.session.labels.at(shown), None if new == NEW else int(new.split()[1])
        height, width = self.session.frame(shown).image.shape[:2]
        boxes = from_page(drawn["boxes"], states, (width, height), target)
        self.session.labels.draw(shown, boxes)

    def _go(self, drawn: Any, shown: int, new: str, number: int) -> dict[Any, Any]:
        self._keep(drawn, shown, new)
        return self._show(number)

    def _go_to_lost(self, drawn: Any, shown: int, new: str) -> dict[Any, Any]:
        self._keep(drawn, shown, new)
        lost = self.session.labels.lost_after(shown)
        if lost is None:
            raise ValueError(f"after frame {shown}, no target is lost")
        return self._show(lost)

    def _check(self, drawn: Any, shown: int, new: str) -> dict[Any, Any]:
        self._keep(drawn, shown, new)
        self.session.labels.check(shown)
        return self._show(shown)

    def _track(
        self, drawn: Any, shown: int, new: str, *, backwards: bool = False
    ) -> dict[Any, Any]:
        self._keep(drawn, shown, new)
        self.session.start(shown, backwards=backwards)
        return self._run_view(shown)

    def _tick(self, was_running: bool) -> dict[Any, Any]:
        session = self.session
        if session.running:
            return self._run_view(session.at)
        if was_running:
            return self._show(session.at)
        return {self.was_running: False}

    def _export(self, drawn: Any, shown: int, new: str, kind: str) -> dict[Any, Any]:
        self._keep(drawn, shown, new)
        path = export(self.session, kind)
        is_video = path.suffix == ".mp4"
        player = self._gradio.update(value=str(path) if is_video else None, visible=is_video)
        file = self._gradio.update(value=str(path), visible=True)
        return {self.file: file, self.video: player}

    # Views.

    def _show(self, number: int) -> dict[Any, Any]:
        """A frame to draw on, and all around it."""
        session, update = self.session, self._gradio.update
        if session.running:
            return self._run_view(session.at)
        if not session.count:
            return {self.was_running: False}
        number = min(max(int(number), 0), session.count - 1)
        image = session.frame(number).image
        path = Path(self._shown.name) / f"{session.opened}-{number:08d}.jpg"
        if not path.exists():
            write_image(path, image)
        states = session.labels.at(number)
        boxes = to_page(states, image.shape[1], image.shape[0])
        targets = [NEW, *(f"target {target}" for target in session.labels.targets)]
        return {
            self.canvas: update(value={"image": str(path), "boxes": boxes}, visible=True),
            self.live: update(visible=False, value=None),
            self.slider: update(value=number, maximum=max(session.count - 1, 1), visible=True),
            self.new: update(choices=targets, value=NEW),
            self.shown: number,
            self.moves: update(visible=True),
            self.command: session.command(),
            **self._around(number, running=False),
        }

    def _run_view(self, number: int) -> dict[Any, Any]:
        """The frame that tracking has come to."""
        update, image = self._gradio.update, self.session.drawn()
        if image is not None and image.shape[1] > LIVE_WIDTH:
            height = round(image.shape[0] * LIVE_WIDTH / image.shape[1])
            image = cv2.resize(image, (LIVE_WIDTH, height), interpolation=cv2.INTER_AREA)
        return {
            self.canvas: update(visible=False),
            self.live: update(value=image, visible=True),
            self.moves: update(visible=False),
            self.slider: update(visible=False),
            **self._around(number, running=True),
        }

    def _around(self, number: int, *, running: bool) -> dict[Any, Any]:
        session, update = self.session, self._gradio.update
        has_targets = bool(session.labels.targets)
        return {
            self.actions: update(visible=True),
            self.stop: update(interactive=running),
            self.forwards: update(interactive=not running),
            self.backwards: update(interactive=not running),
            self.new: update(interactive=not running),
            self.results: update(visible=has_targets and not running),
            self.curve: score_curve(session.labels, session.count, number) if has_targets else "",
            self.status: session.status(number),
            self.was_running: running,
        }
