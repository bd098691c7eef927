"""Loads the built kernels of precise RoI pooling and tells PyTorch their gradients and shapes.

Importing this file does nothing, and nothing here compiles: setup.py does that. The operators and
their checks are in prroi_pool_ops.cpp; the pooling that needs no build is
lib/models/aiatrack/prroi_pool.py, and gives the same numbers.
"""

import functools
import logging
from pathlib import Path

import torch
from torch import Tensor

LIBRARY = Path(__file__).resolve().with_name("prroi_pool_cuda.so")

logger = logging.getLogger(__name__)


@functools.cache
def load_extension() -> bool:
    """Load the built CUDA kernels, once, and return whether they can be used.

    False where they are not built; where they do not load, too, which is logged as a warning.
    """
    if not LIBRARY.is_file():
        return False
    try:
        load_library(LIBRARY)
    except OSError as error:
        logger.warning(
            "%s does not load (%s): built for another version of torch? The pooling runs in plain "
            "PyTorch. To build it again: python %s build_ext --inplace",
            LIBRARY,
            error,
            LIBRARY.with_name("setup.py"),
        )
        return False
    return True


def load_library(path: Path) -> None:
    """Load one build of the operators torch.ops.aiatrack.prroi_pool_*; a second call does nothing.

    Raises:
        OSError: the file is no library that this torch can load.
        RuntimeError: another build is loaded already; a process holds one.
    """
    path = path.resolve()
    if hasattr(torch.ops.aiatrack, "prroi_pool_forward"):
        if str(path) in torch.ops.loaded_libraries:
            return
        raise RuntimeError(
            f"prroi_pool: cannot load {path}: another build is loaded; allowed: one per process"
        )
    torch.ops.load_library(path)
    torch.library.register_fake("aiatrack::prroi_pool_forward", _forward_shape)
    torch.library.register_fake("aiatrack::prroi_pool_backward_features", _backward_features_shape)
    torch.library.register_fake("aiatrack::prroi_pool_backward_boxes", _backward_boxes_shape)
    torch.library.register_autograd("aiatrack::prroi_pool_forward", _backward, setup_context=_save)
    for op in ("prroi_pool_backward_features", "prroi_pool_backward_boxes"):
        torch.library.register_autograd(f"aiatrack::{op}", _refuse_second_derivative)


def prroi_pool(features: Tensor, box_xyxy: Tensor, size: int, scale: float = 1.0) -> Tensor:
    """Pool (B, C, H, W) features in (B, P, 4) boxes by the loaded kernels.

    The same as `prroi_pool` of lib/models/aiatrack/prroi_pool.py, which says more of each argument;
    returns (B, P, C, size, size) float32 (float64 for float64 features). ValueError: a shape, size
    or scale that is not allowed, or two devices.
    """
    dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
    forward = torch.ops.aiatrack.prroi_pool_forward
    return forward(features.to(dtype), box_xyxy.to(dtype), size, size, scale)


def _save(ctx, inputs: tuple, output: Tensor) -> None:
    features, boxes, *ctx.pooling = inputs  # pooling: height, width, scale
    ctx.save_for_backward(features, boxes, output)


def _backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
    features, boxes, output = ctx.saved_tensors
    ops = torch.ops.aiatrack
    grad_features = grad_boxes = None
    if ctx.needs_input_grad[0]:
        height, width = features.shape[2:]
        grad_features = ops.prroi_pool_backward_features(grad, boxes, height, width, *ctx.pooling)
    if ctx.needs_input_grad[1]:
        grad_boxes = ops.prroi_pool_backward_boxes(grad, features, output, boxes, *ctx.pooling)
    return grad_features, grad_boxes, None, None, None


def _refuse_second_derivative(ctx, *grads: Tensor) -> None:
    raise NotImplementedError(
        "the prroi_pool kernels have no second derivative; lib/models/aiatrack/prroi_pool.py has"
    )


def _forward_shape(features: Tensor, boxes: Tensor, height: int, width: int, scale: float):
    return features.new_empty((*boxes.shape[:2], features.shape[1], height, width))


def _backward_features_shape(
    grad: Tensor,
    boxes: Tensor,
    height: int,
    width: int,
    pooled_height: int,
    pooled_width: int,
    scale: float,
) -> Tensor:
    return grad.new_empty((grad.shape[0], grad.shape[2], height, width))


def _backward_boxes_shape(
    grad: Tensor,
    features: Tensor,
    output: Tensor,
    boxes: Tensor,
    height: int,
    width: int,
    scale: float,
) -> Tensor:
    return torch.empty_like(boxes, memory_format=torch.contiguous_format)
