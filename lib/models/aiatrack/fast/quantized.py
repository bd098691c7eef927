"""An int8 backbone for CPUs: static post-training quantization, weights a scale for each channel.

torch.ao's FX mode does it, with oneDNN's kernels, and nothing has to be compiled. torch announces
its end; then torchao's pt2e quantization with torch.compile gives the same numbers, for 20 s of
compiling. The ranges of activations, from the least to the greatest seen, are observed on crops,
once, so that they do not depend on the video that is tracked. Neighbour: precision.py casts what
follows.
"""

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.fast.precision import Cast, cast_behind_backbone, computes_bf16_natively

ENGINE = "onednn"


def quantize_network(model: AiATrack, crops: Tensor) -> AiATrack:
    """Quantize the backbone of a rearranged network on the CPU, in place; returns it.

    What follows runs in bf16 where the CPU computes that natively, else in fp32.

    Args:
        crops: (K, 3, S, S) RGB in [0, 1], to observe the ranges of activations on.

    Raises:
        RuntimeError: this CPU or this torch has not what it takes.
    """
    backbone = model.backbone[0]
    with torch.inference_mode():
        images = ((crops - model.mean) / model.std).contiguous(memory_format=torch.channels_last)
    backbone.body = quantize_graph(backbone.body, images)
    if computes_bf16_natively(torch.device("cpu")):
        model.backbone.append(Cast(torch.bfloat16))
        cast_behind_backbone(model, torch.bfloat16)
    return model


class QuantizedGraph(nn.Module):
    """A converted network, which runs only with its own kernels chosen."""

    def __init__(self, converted: GraphModule) -> None:
        """Keep the network."""
        super().__init__()
        self.converted = converted

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, S, S) fp32 -> fp32 features of the network's stages."""
        with _engine():
            return self.converted(image)


def quantize_graph(body: GraphModule, images: Tensor) -> QuantizedGraph:
    """Quantize a traced network; inputs and outputs stay fp32.

    Args:
        images: (K, 3, S, S), what the network takes; each is observed.

    Raises:
        RuntimeError: see `check_int8`.
    """
    check_int8()
    from torch.ao import quantization as ao
    from torch.ao.quantization.backend_config import get_onednn_backend_config
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    backend = get_onednn_backend_config()
    with _engine(), warnings.catch_warnings(), torch.no_grad():
        # torch.ao and the tensors it makes announce that they will go; check_int8 says when.
        warnings.filterwarnings("ignore", message=".*(deprecated|quant_min)", append=False)
        # Histograms, the default, clip what is rare, and take twice as long.
        activation = ao.MinMaxObserver.with_args(dtype=torch.quint8)
        settings = ao.get_default_qconfig_mapping(ENGINE)
        settings.set_global(ao.QConfig(activation, ao.default_per_channel_weight_observer))
        observed = prepare_fx(body.eval(), settings, (images[:1],), backend_config=backend)
        for image in images:
            observed(image[None])
        return QuantizedGraph(convert_fx(observed, backend_config=backend))


def check_int8() -> None:
    """Find out whether int8 runs here.

    Raises:
        RuntimeError: the CPU has no VNNI, or torch no oneDNN or no torch.ao.quantization.
    """
    if not torch.cpu._is_vnni_supported():
        raise RuntimeError(
            "int8 needs a CPU with VNNI instructions (avx512_vnni), which this one lacks; "
            "fp32 runs everywhere"
        )
    if ENGINE not in torch.backends.quantized.supported_engines:
        engines = torch.backends.quantized.supported_engines
        raise RuntimeError(f"int8 needs a torch with {ENGINE!r}; this one has {engines}")
    try:
        importlib.import_module("torch.ao.quantization.quantize_fx")
    except ImportError as error:
        raise RuntimeError(
            f"int8 needs torch.ao.quantization, which torch {torch.__version__} no longer has; "
            "torch 2.6 to 2.15 have it"
        ) from error


@contextmanager
def _engine() -> Iterator[None]:
    """Choose the kernels, a setting of the process, and put back what was chosen."""
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = ENGINE
    try:
        yield
    finally:
        torch.backends.quantized.engine = before
