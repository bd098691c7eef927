"""An int8 backbone for CPUs: static post-training quantization, one scale per weight channel.

torch.ao's FX mode does it, with oneDNN's kernels, and nothing has to be compiled. torch announces
its end; then torchao's pt2e quantization with torch.compile gives the same numbers, for 20 s of
compiling. The ranges of activations, from the smallest to the largest value, are observed on crops,
once, so that they do not depend on the video that is tracked. Neighbour: precision.py casts what
follows.
"""

import warnings

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.fast import support
from lib.models.aiatrack.fast.precision import Cast, cast_behind_backbone, computes_bf16_natively

ENGINE = "onednn"


def quantize_network(model: AiATrack, crops: Tensor) -> AiATrack:
    """Quantize the backbone of an optimized network on the CPU, in place; returns it.

    What follows runs in bf16 where the CPU computes that natively, else in fp32.

    Args:
        crops: (K, 3, S, S) RGB in [0, 1], to observe the ranges of activations on.

    Raises:
        RuntimeError: see `check_int8`. ValueError: the backbone could not be traced.
    """
    body = model.backbone.get_submodule("0.body")
    if not isinstance(body, GraphModule):
        raise ValueError(
            "int8 needs a backbone that torch.fx can trace, and this recipe's is none; "
            "fp32 and bf16 run any"
        )
    with torch.inference_mode():
        images = ((crops - model.mean) / model.std).contiguous(memory_format=torch.channels_last)
    model.backbone.set_submodule("0.body", quantize_graph(body, images))
    if computes_bf16_natively(torch.device("cpu")):
        model.backbone.append(Cast(torch.bfloat16))
        cast_behind_backbone(model, torch.bfloat16)
    return model


class QuantizedGraph(nn.Module):
    """A converted network, which runs only with its own kernels chosen."""

    def __init__(self, converted: nn.Module) -> None:
        super().__init__()
        self.converted = converted

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, S, S) fp32 -> fp32 features of the network's stages."""
        with support.quantized_engine(ENGINE):
            return self.converted(image)


def quantize_graph(body: nn.Module, images: Tensor) -> QuantizedGraph:
    """Quantize a traced network by what it makes of (K, 3, S, S) images, where `check_int8` allows.

    Inputs and outputs stay fp32.
    """
    check_int8()
    ao, fx = support.quantization(), support.quantization("quantize_fx")
    backend = support.quantization("backend_config").get_onednn_backend_config()
    with support.quantized_engine(ENGINE), warnings.catch_warnings(), torch.no_grad():
        # torch.ao and the tensors it makes announce that they will go; check_int8 says when.
        warnings.filterwarnings("ignore", message=".*(deprecated|quant_min)", append=False)
        # Histograms, the default, clip what is rare, and take twice as long.
        activation = ao.MinMaxObserver.with_args(dtype=torch.quint8)
        settings = ao.get_default_qconfig_mapping(ENGINE)
        settings.set_global(ao.QConfig(activation, ao.default_per_channel_weight_observer))
        observed = fx.prepare_fx(body.eval(), settings, (images[:1],), backend_config=backend)
        for image in images:
            observed(image[None])
        return QuantizedGraph(fx.convert_fx(observed, backend_config=backend))


def check_int8() -> None:
    """Raise RuntimeError if the CPU has no VNNI, or torch no oneDNN or no torch.ao.quantization."""
    if not support.has_instructions("vnni"):
        raise RuntimeError(
            "int8 needs a CPU with VNNI instructions (avx512_vnni), which this one lacks; "
            "fp32 runs everywhere"
        )
    backend = support.private("backends.quantized")
    engines = [] if backend is None else list(backend.supported_engines)
    if ENGINE not in engines:
        raise RuntimeError(f"int8 needs a torch with {ENGINE!r}; this one has {engines}")
    support.quantization("quantize_fx")
