"""What a cell of the search window attends to, before and after the inner attention.

Source: the paper's figure of correlation maps. The plain network alone forms these maps
(attention.py); here they are computed once more from what each attention was called with, so that
tracking stays as it is. Neighbour: attention_figure.py draws them.

h heads, R references, H = W cells of a window, N = H*W, S side of a window in pixels.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lib.config.aiatrack.config import STRIDE
from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.attention import AiAAttention, KeyValue
from lib.models.aiatrack.transformer import References
from lib.test.tracker.aiatrack import AiATrackTracker
from lib.test.tracker.memory import ReferenceMemory
from lib.tools.video.sources import Frame
from lib.utils.box_ops import xywh_to_xyxy
from lib.utils.crop import Crop


class Maps(NamedTuple):
    """Attention weights of one query cell; each head's sum to one over all references."""

    before: np.ndarray  # (h, R, H, W) softmax of the correlations
    after: np.ndarray  # (h, R, H, W) softmax of the refined correlations


class Row(NamedTuple):
    """One attention, or one reference of one, for a figure."""

    title: str
    frame: int  # whose cells the keys are
    window: np.ndarray  # (S, S, 3) uint8 RGB, that frame's
    before: np.ndarray  # (h, H, W)
    after: np.ndarray  # (h, H, W)


class AttentionView(NamedTuple):
    """Everything a figure of one frame shows."""

    frame: int
    box_xyxy: np.ndarray  # (4,) the box found, in pixels of the search window
    cell: tuple[int, int]  # column and row of the query cell
    window: np.ndarray  # (S, S, 3) uint8 RGB, the search window
    rows: list[Row]


class AttentionRecorder:
    """Notes what attentions are called with, while it is entered."""

    def __init__(self, attentions: dict[str, AiAAttention]) -> None:
        """Name the attentions to watch."""
        self.attentions = attentions
        self._given: dict[str, tuple[Tensor, KeyValue, Tensor]] = {}
        self._hooks: list[Any] = []

    def __enter__(self) -> "AttentionRecorder":
        """Start to watch."""
        for name, attention in self.attentions.items():

            def note(_: nn.Module, given: tuple, name: str = name) -> None:
                self._given[name] = given

            self._hooks.append(attention.register_forward_pre_hook(note))
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the network as it was."""
        for hook in self._hooks:
            hook.remove()

    @torch.inference_mode()
    def maps(self, name: str, cell: tuple[int, int]) -> Maps:
        """Compute the maps of one cell (column, row) from the last call of an attention."""
        attention = self.attentions[name]
        query, memory, inner_pos = self._given[name]
        correlation = attention.correlate(query, memory)
        side = round(attention.tokens**0.5)
        token = cell[1] * side + cell[0]

        def weights(columns: Tensor) -> np.ndarray:
            chosen = columns[0, :, :, token].softmax(-1)  # (h, R*N)
            return chosen.unflatten(-1, (-1, side, side)).cpu().numpy()

        return Maps(weights(correlation), weights(attention.refine(correlation, inner_pos)))


def watched_attentions(model: AiATrack, layer: int | None = None) -> dict[str, AiAAttention]:
    """Choose one encoder layer's self-attention, and the decoder's two.

    Args:
        model: plain. layer: of the encoder, from 1; None: the last.

    Raises:
        ValueError: no such layer.
    """
    layers, decoder = model.transformer.encoder.layers, model.transformer.decoder.layers[0]
    chosen = len(layers) if layer is None else layer
    if not 1 <= chosen <= len(layers):
        raise ValueError(f"the encoder has layers 1 to {len(layers)}; given: {layer}")
    watched = {
        f"self, layer {chosen}": layers[chosen - 1].self_attn,
        "long-term": decoder.long_term_attn,
        "short-term": decoder.short_term_attn,
    }
    return {
        name if attention.inner_attn is not None else f"{name} (no AiA)": attention
        for name, attention in watched.items()
    }


def cell_of(crop: Crop, point: Sequence[float]) -> tuple[int, int]:
    """Find the cell (column, row) of a window that holds a point (x, y) of the image.

    Raises:
        ValueError: the point lies outside the window; says where that is.
    """
    x, y = ((p - start) / crop.side for p, start in zip(point, (crop.x1, crop.y1), strict=True))
    if not (0 <= x < 1 and 0 <= y < 1):
        raise ValueError(
            f"the point {point[0]:g},{point[1]:g} lies outside the search window, which holds "
            f"x from {crop.x1} to {crop.x1 + crop.side - 1} and "
            f"y from {crop.y1} to {crop.y1 + crop.side - 1}"
        )
    cells = crop.size // STRIDE
    return int(x * cells), int(y * cells)


class _Pictures:
    """Windows of the remembered frames, kept and chosen as the tracker keeps their keys."""

    def __init__(self, tracker: AiATrackTracker, window: np.ndarray) -> None:
        """Follow the memory of a tracker that was just initialised on a window."""
        self.first = _as_references(0, window)
        self._memory = ReferenceMemory(self.first, tracker.params.capacity, tracker.params.ensemble)
        self.now = self.first  # the frame that the tracker would remember
        remember = tracker.memory.memorize

        def remember_both(references: References) -> None:
            remember(references)
            self._memory.memorize(self.now)

        tracker.memory.memorize = remember_both

    @property
    def recent(self) -> References:
        """What the decoder sees in the next frame."""
        return self._memory.recent


def attention_views(
    tracker: AiATrackTracker,
    recorder: AttentionRecorder,
    frames: Iterable[Frame],
    box: list[float],
    point: Sequence[float] | None = None,
    since: int = 1,
) -> Iterator[AttentionView]:
    """Track a target; yield a view of each frame but the first, in which no target is searched.

    Args:
        tracker: of the plain network, which `recorder` watches.
        box: x, y, w, h in the first frame, image pixels.
        point: x, y of the query in image pixels; None: the middle of the box found.
        since: the first frame to view.

    Raises:
        ValueError: a box that no tracker can start on; a point outside a search window, with the
            frame.
    """
    for frame in frames:
        if frame.number == 0:
            tracker.initialize(frame.image, box)
            pictures = _Pictures(tracker, tracker.crop_search_region(frame.image).cut.image)
            continue
        look, recent = tracker.crop_search_region(frame.image), pictures.recent
        crop, window = look.crop, look.cut.image
        pictures.now = _as_references(frame.number, window)
        found = tracker.track_batch([tracker], [look])[0].box
        if frame.number < since:
            continue
        try:
            cell = cell_of(crop, point or _middle(found, crop))
        except ValueError as error:
            raise ValueError(f"frame {frame.number}: {error}") from error
        lies_on = (pictures.now, pictures.first, recent)
        rows = [
            row
            for name, keys in zip(recorder.attentions, lies_on, strict=True)
            for row in _rows(name, recorder.maps(name, cell), keys)
        ]
        yield AttentionView(frame.number, _in_window(found, crop), cell, window, rows)


def _as_references(frame: int, window: np.ndarray) -> References:
    """A frame's number in place of keys and values, its (S, S, 3) window of inner encodings."""
    number = torch.full((1, 1, 1, 1), frame)
    return References(None, KeyValue(number, number), torch.from_numpy(window)[None])


def _rows(name: str, maps: Maps, pictured: References) -> list[Row]:
    """One row a reference: from (h, R, H, W) maps and the R windows that they lie on."""
    numbers = pictured.short.key.flatten().tolist()
    size = pictured.inner_pos.shape[2]
    windows = pictured.inner_pos[0].unflatten(0, (-1, size)).numpy()  # (R, S, S, 3)
    return [
        Row(f"{name}\nframe {number}", number, windows[i], maps.before[:, i], maps.after[:, i])
        for i, number in enumerate(numbers)
    ]


def _middle(box_xywh_image: list[float], crop: Crop) -> tuple[float, float]:
    """Middle of a box, moved into the window where it lies outside."""
    x, y, w, h = box_xywh_image
    low, high = (crop.x1, crop.y1), (crop.x1 + crop.side - 1, crop.y1 + crop.side - 1)
    return tuple(np.clip((x + w / 2, y + h / 2), low, high).tolist())


def _in_window(box_xywh_image: list[float], crop: Crop) -> np.ndarray:
    """(4,) xywh in image pixels -> (4,) xyxy in pixels of the window."""
    box = (xywh_to_xyxy(np.asarray(box_xywh_image)).reshape(2, 2) - (crop.x1, crop.y1)).reshape(4)
    return box * crop.resize_factor
