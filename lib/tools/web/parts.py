"""What the page consists of, in the order in which it is read."""

from typing import Any

from lib.tools.web.export import KINDS

NEW = "a new target"
SMALL = 130  # pixels; two beside each other fit on a phone
HELP = """
1. Open a video. On a frame, press the mouse and draw a box around each target.
2. **Track** follows the boxes of the shown frame, forwards or backwards, up to the end, to a box
   checked by hand, or **Stop**.
3. Go to a frame where a target is wrong (**Next lost** finds candidates), move its box or delete it
   where the target is not to be seen, and track on from there. What you moved, drew or called right
   is *checked*: tracking never changes it.
4. Take the result away, as a video, table or data set. Frames where a target is lost count as not
   visible there, unless you checked them.

Below the frame: the square draws, the hand moves and resizes, the bin removes the selected box.
Nothing leaves the machine that this runs on.
"""
CSS = """
footer, #canvas [aria-label^=Rotate] {display: none !important}
.gradio-container {max-width: 1100px !important; margin: 0 auto !important}
#curve text {font-size: 16px}
@media (max-width: 600px) {#curve text {font-size: 30px}}
"""


class Parts:
    """The components; what they do is page.py's."""

    def __init__(self, gradio: Any, annotator: Any) -> None:
        """Make all, within an open block of Gradio's."""
        self._build_canvas(gradio, annotator)
        self._build_results(gradio)

    def _build_canvas(self, gradio: Any, annotator: Any) -> None:
        with gradio.Row():
            text = "Video on this machine, folder of images, camera (0), stream"
            self.name = gradio.Textbox(label=text, placeholder="clip.mp4", scale=4)
            self.open_button = gradio.Button("Open", variant="primary", scale=1)
            self.upload = gradio.UploadButton("Upload a video", file_types=["video"], scale=1)
        self.status = gradio.Markdown("Open a video, or upload one.", elem_id="status")
        self.canvas = annotator(
            show_label=False,  # it would cover a corner
            sources=[],
            disable_edit_boxes=True,
            box_min_size=4,
            boxes_alpha=0.1,
            show_share_button=False,
            show_clear_button=False,
            show_remove_button=True,
            visible=False,
            elem_id="canvas",
        )
        self.live = gradio.Image(
            label="Tracking",
            format="jpeg",
            buttons=[],  # one of them would share it
            interactive=False,
            visible=False,
            elem_id="live",
        )
        self.slider = gradio.Slider(0, 1, step=1, label="Frame", visible=False, elem_id="frame")
        with gradio.Row(visible=False) as self.moves:
            names = ("◂ Frame", "Frame ▸", "Next lost", "Boxes are right ✓")
            buttons = [gradio.Button(name, min_width=SMALL) for name in names]
            self.back, self.ahead, self.next_lost, self.right = buttons
        with gradio.Row(visible=False) as self.actions:
            self.backwards = gradio.Button("◀ Track backwards", min_width=SMALL)
            self.stop = gradio.Button("■ Stop", variant="stop", interactive=False, min_width=SMALL)
            self.forwards = gradio.Button("Track ▶", variant="primary", min_width=SMALL)
            text = "A box that you draw is of"
            self.new = gradio.Dropdown(
                [NEW], value=NEW, label=text, interactive=True, min_width=SMALL
            )
        self.curve = gradio.HTML(elem_id="curve")

    def _build_results(self, gradio: Any) -> None:
        with gradio.Group(visible=False) as self.results:
            with gradio.Row():
                kinds = list(KINDS)
                self.kind = gradio.Dropdown(kinds, value=kinds[0], label="Take away", scale=2)
                self.make = gradio.Button("Make the file", scale=1)
            self.file = gradio.File(
                label="Download", interactive=False, visible=False, elem_id="download"
            )
            self.video = gradio.Video(buttons=[], interactive=False, visible=False, elem_id="video")
            self.command = gradio.Code(
                label="The same from the command line",
                language="shell",
                interactive=False,
                lines=1,
                wrap_lines=True,
                show_line_numbers=False,
                buttons=["copy"],
                elem_id="command",
            )
        with gradio.Accordion("How it works", open=False):
            gradio.Markdown(HELP)
        self.shown = gradio.State(0)  # the frame on the canvas
        self.was_running = gradio.State(False)
