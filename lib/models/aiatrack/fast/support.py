"""What the optimized network asks of torch that torch calls private: each thing once, when needed.

Where this torch lacks something the eager layer runs, and one warning per process says so; int8 has
no eager layer to fall back on and is refused (quantized.py). Nothing is asked for on import, or to
run the eager network.
"""

import functools
import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import torch

logger = logging.getLogger(__name__)

# Operators of torch.ops.mkldnn, those that torch.compile uses on CPUs.
CONVOLUTION = ["_reorder_convolution_weight", "_convolution_pointwise"]
CONVOLUTION += ["_convolution_pointwise.binary", "_convolution_pointwise_.binary"]
LINEAR = ["_reorder_linear_weight", "_linear_pointwise", "_linear_pointwise.binary"]


@functools.cache
def private(path: str) -> Any:
    """Look up a name below torch, such as "cpu._is_vnni_supported"; None if it is missing."""
    try:
        return attrgetter(path)(torch)
    except AttributeError:
        logger.warning(
            "torch %s has no torch.%s: eager layers are used instead", torch.__version__, path
        )
        return None


def onednn(name: str) -> Any:
    """Look up an operator such as "_linear_pointwise.binary"; None if it is missing."""
    return private(f"ops.mkldnn.{name}") if torch.backends.mkldnn.is_available() else None


def has_instructions(name: str) -> bool:
    """Whether this CPU has "amx_tile", "avx512_bf16" or "vnni", as far as torch can tell."""
    supported = private(f"cpu._is_{name}_supported")
    return supported is not None and supported()


def quantization(module: str = "") -> Any:
    """Import torch.ao.quantization or a module of it; RuntimeError where this torch has none."""
    try:
        return importlib.import_module(f"torch.ao.quantization.{module}".rstrip("."))
    except ImportError as error:
        raise RuntimeError(
            f"int8 needs torch.ao.quantization, which torch {torch.__version__} no longer has; "
            "torch 2.6 to 2.15 have it"
        ) from error


@contextmanager
def quantized_engine(name: str) -> Iterator[None]:
    """Choose a set of int8 kernels, a setting of the process, and restore the choice before."""
    backend = private("backends.quantized")
    before, backend.engine = backend.engine, name
    try:
        yield
    finally:
        backend.engine = before
