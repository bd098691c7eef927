"""Synthetic clips for training, made when they are asked for: endless, nothing is written.

From images with segmentation masks or from procedural textures (lib/synthetic). A sequence number
is a seed: the same number is the same clip, in every process and every run.
"""

from dataclasses import replace
from typing import ClassVar

import numpy as np

from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.plan import plan_clip
from lib.synthetic.render import Annotation, ClipPlan, annotate, draw_frame
from lib.synthetic.textures import Textures

# Faster, fainter and more changeable targets than in `ClipOptions`, whose values are those of the
# demo's clips: what is hard is to be seen often.
HARD = ClipOptions(
    length=60,
    object_size=(0.06, 0.4),
    speed=(0.01, 0.3),
    scale_change=4.5,
    turn=4.0,
    spin=0.12,
    bend=0.5,
    repaint=0.2,
    shadow=0.25,
    faint=0.25,
    grey=0.15,
    compress=0.3,
    shake=0.25,
)
# Objects where they were photographed, their borders and surroundings real: only the camera moves.
IN_PLACE = replace(HARD, region=1.0)
SPACING = 3  # every third frame of a clip is offered: annotating is not free
CLIPS = 1_000_000
MIN_VISIBLE = 7  # of the frames offered
MAX_PLANS = 20  # made for one clip


class SyntheticClips:
    """Synthetic clips on demand; a `TrackingDataset` (lib/train/data/sampler.py)."""

    is_video: ClassVar[bool] = True
    notes: ClassVar[tuple[str, ...]] = ()  # as of a BaseDataset; nothing is left out

    def __init__(
        self, name: str, textures: Textures, *, seed: int, options: ClipOptions, clips: int = CLIPS
    ) -> None:
        """Set what the `clips` are made of; nothing is drawn yet. Other seeds give other clips."""
        self.name = name
        self._seed, self._textures, self._options = seed, textures, options
        self._offered = range(0, options.length, SPACING)
        self.lengths = np.full(clips, len(self._offered))
        self.visible_counts = np.full(clips, MIN_VISIBLE)  # at least: see `_clip`
        self._last: tuple[int, ClipPlan, Annotation] | None = None  # the last clip

    def __len__(self) -> int:
        return len(self.lengths)

    def sequence_name(self, sequence: int) -> str:
        return f"{self._seed}/{sequence}"

    def boxes(self, sequence: int) -> np.ndarray:
        """Return (T, 4) float64 xywh in pixels of the frames offered."""
        return self._clip(sequence)[1].boxes_xywh

    def visible(self, sequence: int) -> np.ndarray:
        """Return (T,) bool."""
        return self._clip(sequence)[1].visible

    def read_frame(self, sequence: int, frame: int) -> np.ndarray:
        """Draw a frame, (H, W, 3) uint8 RGB."""
        return draw_frame(self._clip(sequence)[0], self._offered[frame])

    def _clip(self, sequence: int) -> tuple[ClipPlan, Annotation]:
        """Plan and annotate a clip, unless it is the last one: a sample asks several times."""
        if self._last is None or self._last[0] != sequence:
            generator = np.random.default_rng((self._seed, sequence))
            for _ in range(MAX_PLANS):
                plan = plan_clip(generator, self._textures, self._options)
                annotation = annotate(plan, self._offered)
                if np.count_nonzero(annotation.visible) >= MIN_VISIBLE:
                    break
            else:
                raise RuntimeError(
                    f"{self.name}: no clip in {MAX_PLANS} whose target is visible in "
                    f"{MIN_VISIBLE} of {len(self._offered)} frames with {self._options}"
                )
            self._last = (sequence, plan, annotation)
        return self._last[1:]
