"""The ways of a frame to the device and of its box back, so that only the box is waited for."""

import numpy as np
import torch
from torch import Tensor


class Upload:
    """Copies arrays to a device by way of buffers that are kept, on a GPU without waiting."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._pinned = device.type == "cuda"  # memory that a GPU reads by itself
        self._buffers: dict[tuple[tuple[int, ...], np.dtype], Tensor] = {}  # by shape and type
        self._done = torch.cuda.Event() if self._pinned else None  # the last copy

    def __call__(self, *arrays: np.ndarray, out: Tensor | None = None) -> Tensor:
        """Copy B arrays (...) of one shape and type to the device, as the rows of (B, ...).

        Args:
            out: where to; None: a new tensor.
        """
        shape = (len(arrays), *arrays[0].shape)
        key = (shape, arrays[0].dtype)
        if self._done is not None:
            self._done.synchronize()  # what the buffer holds may be on its way
        if key not in self._buffers:
            like = torch.from_numpy(np.empty(0, arrays[0].dtype))
            self._buffers[key] = torch.empty(shape, dtype=like.dtype, pin_memory=self._pinned)
        buffer = self._buffers[key]
        np.stack(arrays, out=buffer.numpy())
        if out is None:
            out = torch.empty(shape, dtype=buffer.dtype, device=self.device)
        out.copy_(buffer, non_blocking=True)
        if self._done is not None:
            self._done.record(torch.cuda.current_stream(self.device))
        return out


def read(rows: Tensor) -> np.ndarray:
    """(B, 5) box and score of each target, float64: the one place where a frame waits for a GPU."""
    return rows.cpu().numpy().astype(np.float64)
