"""What stands for a GPU in tests on a CPU: cuDNN's operators, and a tracker on the meta device."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lib.models.aiatrack.fast import support

ATTENTION = torch.ops.aten.scaled_dot_product_attention.default
FREE = ("aten.empty.memory_format", "aten._unsafe_view.default")  # no kernel
LIBRARY = torch.library.Library("gpu_stand_ins", "DEF")
GEOMETRY = "int[] stride, int[] padding, int[] dilation, int groups) -> Tensor"
LIBRARY.define(f"conv_relu(Tensor x, Tensor weight, Tensor? bias, {GEOMETRY}")
LIBRARY.define(
    f"conv_add_relu(Tensor x, Tensor weight, Tensor z, Scalar? alpha, Tensor? bias, {GEOMETRY}"
)


def conv_relu(x: Tensor, weight: Tensor, bias: Tensor | None, *geometry: Any) -> Tensor:
    return F.conv2d(x, weight, bias, *geometry).relu()


def conv_add_relu(
    x: Tensor, weight: Tensor, z: Tensor, alpha: float, bias: Tensor | None, *geometry: Any
) -> Tensor:
    return (F.conv2d(x, weight, bias, *geometry) + alpha * z).relu()


for key in ("CPU", "Meta"):
    LIBRARY.impl("conv_relu", conv_relu, key)
    LIBRARY.impl("conv_add_relu", conv_add_relu, key)


def stand_in_for_cudnn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the fused operators of GPUs computed on CPUs."""
    operators = {
        "cudnn_convolution_relu": torch.ops.gpu_stand_ins.conv_relu.default,
        "cudnn_convolution_add_relu": torch.ops.gpu_stand_ins.conv_add_relu.default,
    }
    look_up = support.private
    monkeypatch.setattr(support, "private", lambda name: operators.get(name) or look_up(name))


class Operations(TorchDispatchMode):
    """Counts operations that launch a kernel on a GPU, and copies between host and device.

    Fused attention counts as one, with its result laid out as GPUs' kernels do.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()
        self.transfers = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is ATTENTION:
            self.count[str(func)] += 1
            result = func(*args, **kwargs)
            return torch.empty_like(result.transpose(-3, -2).contiguous()).transpose(-3, -2)
        with self:
            parts = func.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
        if not func.is_view and str(func) not in FREE and func.namespace != "prim":
            self.count[str(func)] += 1
        result = func(*args, **kwargs)
        tensors = [x for x in (*args, *kwargs.values(), result) if isinstance(x, Tensor)]
        self.transfers += len({x.device.type for x in tensors if x.ndim}) > 1
        return result


@contextmanager
def counting() -> Iterator[Operations]:
    """Count within a block; on the meta device, which fails where a value is asked for."""
    with Operations() as operations:
        yield operations
