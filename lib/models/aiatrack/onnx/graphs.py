"""The tracker's two steps as graphs of static shapes.

    memorize   image, mask, box           -> the frame's keys and values
    track      image, mask, references    -> box, score, the frame's keys and values

Source: aiatrack.py. Tracking gives the frame's own keys and values for the predicted box as well:
two small projections, half a percent of a frame, so that a frame is memorized without a second pass
of the backbone. contract.py has their names.
"""

from torch import Tensor, nn

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.references import KeyValue, References
from lib.utils.box_ops import xyxy_to_xywh


class _Graph(nn.Module):
    """A step of a network, eager or optimized; B = 1."""

    def __init__(self, model: AiATrack) -> None:
        super().__init__()
        self.model = model


class MemorizeGraph(_Graph):
    """A frame and its box in, its keys and values out."""

    def forward(self, image: Tensor, mask: Tensor, box: Tensor) -> tuple[Tensor, ...]:
        """(1, 3, S, S) RGB in [0, 1], (1, S, S) bool, (1, 4) xywh -> OUTPUTS["memorize"]."""
        first = self.model.memorize(self.model.encode(image, mask), box)
        return *first.long_term(), *first.short, first.inner_pos


class TrackGraph(_Graph):
    """A frame and references in; box, score and the frame's keys and values out."""

    def forward(self, image: Tensor, mask: Tensor, *references: Tensor) -> tuple[Tensor, ...]:
        """Find the target.

        Args:
            image, mask: (1, 3, S, S) RGB in [0, 1], (1, S, S) bool, True on padding.
            references: the six further INPUTS["track"]: keys and values (1, h, N, d) and inner
                encodings (1, N, D) of the first frame, then of R recent ones, N * R long.

        Returns:
            box (1, 4) xywh in fractions of the crop, score (1, 1), keys and values (1, h, N, d) of
            this frame as a recent one, inner encodings (1, N, D).
        """
        long_key, long_value, long_pos, short_key, short_value, short_pos = references
        long, short = KeyValue(long_key, long_value), KeyValue(short_key, short_value)
        first = References(long, long, long_pos)  # its short-term part is not read
        recent = References(None, short, short_pos)
        encoded = self.model.encode(image, mask)
        features = self.model.decode(encoded, first, recent)
        box = xyxy_to_xywh(self.model.box_head(features))
        score = self.model.iou_head(features, box[:, None])
        own = self.model.memorize(encoded, box, long_term=False)
        return box, score, *own.short, own.inner_pos


GRAPHS = {"memorize": MemorizeGraph, "track": TrackGraph}
