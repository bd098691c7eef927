"""The tracker with its network in PyTorch; everything else is that of reference_tracker.py."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.checkpoint.digest import digest
from lib.models.aiatrack.aiatrack import AiATrack, Encoded
from lib.models.aiatrack.references import KeyValue, References
from lib.test.parameter.aiatrack import TrackerParams
from lib.test.tracker.memory import ReferenceMemory
from lib.test.tracker.reference_tracker import NetworkOutput, ReferenceTracker, SearchRegion
from lib.test.tracker.transfer import Upload, read


class AiATrackTracker(ReferenceTracker[AiATrack]):
    """Follows one target with the network in PyTorch."""

    def __init__(self, model: AiATrack, params: TrackerParams, device: torch.device) -> None:
        super().__init__(model.to(device).eval(), params)
        self.device = device
        self._upload = Upload(device)

    def _fingerprint(self) -> str:
        return digest({"box_head": dict(self.model.box_head.state_dict())})

    def _to_array(self, values: Tensor) -> tuple[np.ndarray, str]:
        exact = values.detach().float().cpu().numpy()  # fp16 and bf16 lie within fp32
        return exact, str(values.dtype).removeprefix("torch.")

    def _from_array(self, array: np.ndarray, dtype: str) -> Tensor:
        return torch.from_numpy(array).to(self.device, getattr(torch, dtype))

    def _memorize_first(self, region: SearchRegion, box_xywh_crop: np.ndarray) -> References:
        encoded = self.model.encode(*self._tensors([region]))
        return self.model.memorize(encoded, self._upload(*box_xywh_crop))

    def _search(
        self, regions: Sequence[SearchRegion], memories: Sequence[ReferenceMemory]
    ) -> NetworkOutput:
        """Put what each remembers below each other, and search all windows in one pass."""
        first = stack_references([memory.first for memory in memories])
        recent = stack_references([memory.recent for memory in memories])
        encoded = self.model.encode(*self._tensors(regions))
        box_xywh_crop, score = self.model.locate(encoded, first, recent)
        rows = read(torch.cat([box_xywh_crop, score], 1))
        return NetworkOutput(rows, partial(self._memorize, encoded, box_xywh_crop))

    def _tensors(self, regions: Sequence[SearchRegion]) -> tuple[Tensor, Tensor | None]:
        """Put B regions on the device: images (B, 3, S, S) uint8, and masks (B, S, S) if padded."""
        pixels = self._upload(*(region.cut.image for region in regions))  # (B, S, S, 3)
        images = pixels.permute(0, 3, 1, 2).contiguous(memory_format=self.model.memory_format)
        if not any(region.cut.is_padded for region in regions):
            return images, None
        return images, self._upload(*(region.cut.mask for region in regions))

    @contextmanager
    def computing(self) -> Iterator[None]:
        with torch.inference_mode(), without_tf32(self.device):
            yield

    def _memorize(
        self, encoded: Encoded, box_xywh_crop: Tensor, rows: list[int]
    ) -> list[References]:
        """Make references of some rows, each with memory of its own."""
        if not rows:
            return []
        if len(rows) < len(box_xywh_crop):  # without a list of indices, which would be uploaded
            tokens, inner_pos, box_xywh_crop = (
                torch.cat([x[i : i + 1] for i in rows]) for x in (*encoded, box_xywh_crop)
            )
            encoded = Encoded(tokens, inner_pos)
        references = self.model.memorize(encoded, box_xywh_crop, long_term=False)
        return unbind_references(references, len(rows))


def stack_references(items: Sequence[References]) -> References:
    """Put the references of B videos below each other, along the first axis of each tensor."""
    return items[0] if len(items) == 1 else map_references(torch.cat, items)


def unbind_references(references: References, count: int) -> list[References]:
    """Undo `stack_references`; rows are copied, so that none keeps the others alive."""

    def row(index: int) -> References:
        return map_references(lambda tensors: tensors[0][index : index + 1].clone(), [references])

    return [references] if count == 1 else [row(i) for i in range(count)]


def map_references(
    function: Callable[[list[Tensor]], Tensor], items: Sequence[References]
) -> References:
    """References of what a function makes of each of their tensors."""

    def pair(pairs: list[KeyValue]) -> KeyValue:
        return KeyValue(function([p.key for p in pairs]), function([p.value for p in pairs]))

    long = [item.long for item in items if item.long is not None]
    inner_pos = function([item.inner_pos for item in items])
    return References(pair(long) if long else None, pair([i.short for i in items]), inner_pos)


@contextmanager
def without_tf32(device: torch.device) -> Iterator[None]:
    """Keep a GPU's convolutions in fp32: TF32, cuDNN's default, moves boxes.

    torch 2.9 has a setting for them alone, and refuses to be asked by the older one where the new
    ones disagree.
    """
    cudnn: Any = torch.backends.cudnn
    new = hasattr(cudnn, "conv")
    setting, name = (cudnn.conv, "fp32_precision") if new else (cudnn, "allow_tf32")
    before = getattr(setting, name)
    if device.type != "cuda" or before not in ("tf32", True):
        yield
        return
    setattr(setting, name, "ieee" if new else False)
    try:
        yield
    finally:
        setattr(setting, name, before)
