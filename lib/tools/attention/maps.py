"""What a cell of the search window attends to, before and after the inner attention.

Source: the paper's figure of correlation maps. Only the network as trained forms these maps
(lib/models/aiatrack/attention.py); here they are computed once more from what each attention was
called with, so that tracking stays as it is. Neighbour: figure.py draws them.

h heads, R references, H = W cells of a window, N = H*W, S side of a window in pixels.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lib.config.aiatrack.requirements import STRIDE
from lib.io.video.sources import Frame
from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.attention import AiAAttention
from lib.models.aiatrack.references import KeyValue
from lib.models.aiatrack.transformer import DecoderLayer, EncoderLayer
from lib.test.tracker.aiatrack import AiATrackTracker
from lib.test.tracker.memory import ReferenceMemory
from lib.utils.box_ops import xywh_to_xyxy
from lib.utils.crop import Crop


class Maps(NamedTuple):
    """Attention weights of one query cell; each head's sum to one over all references."""

    before: np.ndarray  # (h, R, H, W) softmax of the correlations
    after: np.ndarray  # (h, R, H, W) softmax of the refined correlations


class Row(NamedTuple):
    """An attention to one frame: a row of the figure."""

    title: str
    frame: int  # whose cells the keys are
    window: np.ndarray  # (S, S, 3) uint8 RGB, that frame's
    before: np.ndarray  # (h, H, W)
    after: np.ndarray  # (h, H, W)


class AttentionView(NamedTuple):
    """Everything a figure of one frame shows."""

    frame: int
    box_xyxy_window: np.ndarray  # (4,) the box found, in pixels of the search window
    cell: tuple[int, int]  # column and row of the query cell
    window: np.ndarray  # (S, S, 3) uint8 RGB, the search window
    rows: list[Row]


class AttentionRecorder:
    """Notes what attentions are called with, while it is entered."""

    def __init__(self, attentions: dict[str, AiAAttention]) -> None:
        self.attentions = attentions
        self._inputs: dict[nn.Module, tuple[Tensor, KeyValue, Tensor]] = {}
        self._hooks: list[RemovableHandle] = []

    def __enter__(self) -> "AttentionRecorder":
        watched = self.attentions.values()
        self._hooks = [a.register_forward_pre_hook(self._inputs.__setitem__) for a in watched]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    @torch.inference_mode()
    def maps(self, name: str, cell: tuple[int, int]) -> Maps:
        """Compute the maps of one cell (column, row) from the last call of an attention."""
        attention = self.attentions[name]
        query, memory, inner_pos = self._inputs[attention]
        correlation = attention.correlate(query, memory)
        side = round(attention.tokens**0.5)

        def weights(columns: Tensor) -> np.ndarray:
            column = columns[0, :, :, cell[1] * side + cell[0]].softmax(-1)  # (h, R*N)
            return column.unflatten(-1, (-1, side, side)).cpu().numpy()

        return Maps(weights(correlation), weights(attention.refine(correlation, inner_pos)))


def watched_attentions(model: AiATrack, layer: int | None = None) -> dict[str, AiAAttention]:
    """Choose an encoder layer's self-attention, and the decoder's two, of a network as trained.

    layer: from 1; None: the last; ValueError for others.
    """
    encoder, decoder = model.transformer.encoder, model.transformer.decoder
    layers = [m for m in encoder.layers if isinstance(m, EncoderLayer)]
    (last,) = (m for m in decoder.layers if isinstance(m, DecoderLayer))
    chosen = len(layers) if layer is None else layer
    if not 1 <= chosen <= len(layers):
        raise ValueError(f"the encoder has layers 1 to {len(layers)}; given: {layer}")
    watched = {f"self, layer {chosen}": layers[chosen - 1].self_attn}
    watched |= {"long-term": last.long_term_attn, "short-term": last.short_term_attn}
    return {name + " (no AiA)" * (a.inner_attn is None): a for name, a in watched.items()}


def cell_of(crop: Crop, point: Sequence[float]) -> tuple[int, int]:
    """Cell (column, row) of a window that holds a point (x, y) of the image, or ValueError."""
    x, y = ((p - start) / crop.side for p, start in zip(point, (crop.x1, crop.y1), strict=True))
    if not (0 <= x < 1 and 0 <= y < 1):
        raise ValueError(
            f"the point {point[0]:g},{point[1]:g} lies outside the search window, which holds "
            f"x from {crop.x1} to {crop.x1 + crop.side - 1} and "
            f"y from {crop.y1} to {crop.y1 + crop.side - 1}"
        )
    cells = crop.size // STRIDE
    return int(x * cells), int(y * cells)


class FrameWindow(NamedTuple):
    """The window that was cut out of a frame."""

    frame: int
    image: np.ndarray  # (S, S, 3) uint8 RGB


class WindowMemory:
    """Windows of the frames that a tracker remembers, each at its memory's entry."""

    def __init__(self, memory: ReferenceMemory, first: FrameWindow) -> None:
        """memory: of a tracker that was just initialized on `first`."""
        self._memory, self._recent, self._entries = memory, memory.recent, [first]

    def update(self, window: FrameWindow) -> None:
        """Keep the window of the frame just tracked, if the tracker has memorized that frame."""
        if self._memory.recent is self._recent:
            return
        self._recent = self._memory.recent
        self._entries.append(window)
        if len(self._entries) > len(self._memory):  # at capacity: the oldest but the first is gone
            del self._entries[1]

    def recent(self) -> list[FrameWindow]:
        """The R windows whose keys the decoder sees in the next frame."""
        return [self._entries[i] for i in self._memory.recent_entries()]


def attention_views(
    tracker: AiATrackTracker,
    recorder: AttentionRecorder,
    frames: Iterable[Frame],
    box: list[float],
    point: Sequence[float] | None = None,
    since: int = 1,
) -> Iterator[AttentionView]:
    """Track a target; yield a view of each frame from `since` on.

    Args:
        tracker: of the network as trained, which `recorder` watches.
        box: x, y, w, h in the first frame, image pixels.
        point: x, y of the query in image pixels; None: the middle of the box found.
        since: at least 1, as no target is searched in frame 0.

    Raises:
        ValueError: a box that no tracker can start on; a point outside a frame's search window.
    """
    for frame in frames:
        # Start on the first frame.
        if frame.number == 0:
            tracker.initialize(frame.image, box)
            first = FrameWindow(0, tracker.crop_search_region(frame.image).cut.image)
            remembered = WindowMemory(tracker.memory, first)
            continue
        # Track, noting which windows the decoder sees.
        region, recent = tracker.crop_search_region(frame.image), remembered.recent()
        window = FrameWindow(frame.number, region.cut.image)
        box_xywh_image = tracker.track_batch([tracker], [region])[0].box
        remembered.update(window)
        if frame.number < since:
            continue
        # Lay the maps of one cell over the windows that the keys come from.
        try:
            cell = cell_of(region.crop, point or _middle(box_xywh_image, region.crop))
        except ValueError as error:
            raise ValueError(f"frame {frame.number}: {error}") from error
        rows = []
        for name, windows in zip(recorder.attentions, ([window], [first], recent), strict=True):
            before, after = recorder.maps(name, cell)
            for i, (t, image) in enumerate(windows):
                rows.append(Row(f"{name}\nframe {t}", t, image, before[:, i], after[:, i]))
        box_xyxy_window = _in_window(box_xywh_image, region.crop)
        yield AttentionView(frame.number, box_xyxy_window, cell, window.image, rows)


def _middle(box_xywh_image: list[float], crop: Crop) -> tuple[float, float]:
    """Middle of a box, moved into the window where it lies outside."""
    x, y, w, h = box_xywh_image
    last_x, last_y = crop.x1 + crop.side - 1, crop.y1 + crop.side - 1
    return min(max(x + w / 2, crop.x1), last_x), min(max(y + h / 2, crop.y1), last_y)


def _in_window(box_xywh_image: list[float], crop: Crop) -> np.ndarray:
    """(4,) xywh in image pixels -> (4,) xyxy in pixels of the window."""
    box = (xywh_to_xyxy(np.asarray(box_xywh_image)).reshape(2, 2) - (crop.x1, crop.y1)).reshape(4)
    return box * crop.resize_factor
