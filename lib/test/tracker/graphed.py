"""The tracker with a frame as one CUDA graph: one launch instead of some 250.

The graph reads and writes tensors that stay where they are: pixels, position encodings and
references of B windows go in, boxes, scores and the frame's own references come out. A batch with
fewer targets than B leaves the other rows as they were; rows know nothing of each other.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.references import References
from lib.test.parameter.aiatrack import TrackerParams
from lib.test.tracker.aiatrack import AiATrackTracker, map_references
from lib.test.tracker.memory import ReferenceMemory
from lib.test.tracker.reference_tracker import NetworkOutput, SearchRegion
from lib.test.tracker.transfer import Upload, read

logger = logging.getLogger(__name__)

WARM_UPS = 3  # calls before the capture: libraries choose their kernels, allocate, compile

Outputs = tuple[Tensor, References]  # (B, 5) boxes and scores; what the frames are as references


class Graph(NamedTuple):
    """A captured frame."""

    frame: "StaticFrame"
    replay: Callable[[], Outputs]


class GraphedTracker(AiATrackTracker):
    """Follows one target; trackers made by `for_new_target` share the graphs too."""

    def __init__(self, model: AiATrack, params: TrackerParams, device: torch.device) -> None:
        super().__init__(model, params, device)
        self.graphs: dict[int, Graph] = {}  # by size of batch
        self.refusals: list[str] = []  # why there is no graph; empty while there may be

    def _search(
        self, regions: Sequence[SearchRegion], memories: Sequence[ReferenceMemory]
    ) -> NetworkOutput:
        graph = self._graph_for(len(regions), memories[0])
        if graph is None:
            return super()._search(regions, memories)
        graph.frame.load(regions, memories, self._upload)
        rows, own = graph.replay()
        return NetworkOutput(read(rows[: len(regions)]), partial(_copy_rows, own))

    def _graph_for(self, count: int, memory: ReferenceMemory) -> Graph | None:
        """The smallest graph for a number of targets; None where none can be captured."""
        if fitting := [size for size in self.graphs if size >= count]:
            return self.graphs[min(fitting)]
        if self.refusals:
            return None
        size = 1 << (count - 1).bit_length()  # a power of 2: few captures as targets come and go
        frame = StaticFrame(self.model, size, memory, self.params.search_size)
        try:
            self.graphs[size] = Graph(frame, capture(frame.step, self.device))
        except RuntimeError as error:
            self.refusals.append(str(error).strip().splitlines()[0])
            logger.warning("no CUDA graph, going on without: %s", self.refusals[0])
            return None
        return self.graphs[size]


class StaticFrame:
    """A frame of B targets over tensors that stay where they are."""

    def __init__(self, model: AiATrack, size: int, memory: ReferenceMemory, side: int) -> None:
        """Make the tensors.

        Args:
            size: B.
            memory: of any target, for shapes and types.
            side: S, of the windows.
        """

        def rows(tensors: list[Tensor]) -> Tensor:
            return tensors[0].new_zeros(size, *tensors[0].shape[1:])

        self.model = model
        device = memory.first.inner_pos.device
        self.pixels = torch.zeros(size, side, side, 3, dtype=torch.uint8, device=device)
        self.pos, self.inner_pos = (x.clone() for x in model.encode_positions(None, size))
        self.first = map_references(rows, [memory.first])
        self.recent = map_references(rows, [memory.recent])
        self._padded = 0  # rows with encodings of padded windows, from the first on
        self._held: list[tuple[References | None, References | None]] = [(None, None)] * size

    def load(
        self, regions: Sequence[SearchRegion], memories: Sequence[ReferenceMemory], upload: Upload
    ) -> None:
        """Write what differs from the last frame into the first rows."""
        count = len(regions)
        upload(*(region.cut.image for region in regions), out=self.pixels[:count])
        padded = any(region.cut.is_padded for region in regions)
        if padded or self._padded:
            masks = upload(*(region.cut.mask for region in regions)) if padded else None
            rows = count if padded else len(self.pos)
            for kept, new in zip(
                (self.pos, self.inner_pos), self.model.encode_positions(masks, rows), strict=True
            ):
                kept[:rows].copy_(new)
            self._padded = max(self._padded, count) if padded else 0
        for row, memory in enumerate(memories):
            first, recent = self._held[row]
            if first is not memory.first:
                _write_row(self.first, row, memory.first)
            if recent is not memory.recent:
                _write_row(self.recent, row, memory.recent)
            self._held[row] = (memory.first, memory.recent)

    def step(self) -> Outputs:
        """Find all B targets, and make references of what the frames show there."""
        images = self.pixels.permute(0, 3, 1, 2)  # (B, 3, S, S)
        images = images.contiguous(memory_format=self.model.memory_format)
        encoded = self.model.encode_at(images, self.pos, self.inner_pos)
        box_xywh_crop, score = self.model.locate(encoded, self.first, self.recent)
        own = self.model.memorize(encoded, box_xywh_crop, long_term=False)
        return torch.cat([box_xywh_crop, score], 1), own


def capture(step: Callable[[], Outputs], device: torch.device) -> Callable[[], Outputs]:
    """Capture a step whose inputs stay where they are; what is returned replays it.

    The outputs are overwritten by the next replay. On a CPU, which has no graphs, the step is taken
    anew each time.
    """
    if device.type != "cuda":
        kept = step()
        return lambda: _overwrite(kept, step())
    with torch.cuda.device(device):
        # On a stream of its own, as PyTorch's documentation of CUDA graphs asks for.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = step()

    def replay() -> Outputs:
        graph.replay()
        return outputs

    return replay


def _copy_rows(references: References, rows: list[int]) -> list[References]:
    def copy(row: int) -> References:
        return map_references(lambda x: x[0][row : row + 1].clone(), [references])

    return [copy(row) for row in rows]


def _overwrite(kept: Outputs, new: Outputs) -> Outputs:
    kept[0].copy_(new[0])
    map_references(lambda pair: pair[0].copy_(pair[1]), [kept[1], new[1]])
    return kept


def _write_row(kept: References, row: int, new: References) -> None:
    def write(pair: list[Tensor]) -> Tensor:
        return pair[0][row : row + 1].copy_(pair[1])

    map_references(write, [kept, new])
