"""The network through torch.compile: its parts, as many graphs of static shapes.

What branches on data, whether a crop has padding, stays between the graphs. On a GPU each part is a
CUDA graph; references are made outside of them, because their outputs are overwritten with the next
frame.
"""

import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs
import torch
from torch import Tensor, nn

from lib.config.aiatrack.config import STRIDE
from lib.models.aiatrack.aiatrack import AiATrack, concat_references

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
WARM_UPS = 3  # frames: the first compiles, the next ones record CUDA graphs


def compile_network(model: AiATrack, device: torch.device, ensemble: int) -> AiATrack:
    """Compile an optimized network on its device, in place, and run it until it is warm.

    Without a compiler that works, the network is as before, and a warning says why.

    Args:
        ensemble: short-term references the decoder will see; another number is compiled anew.

    Returns:
        The network.
    """
    cache = use_cache()
    logger.warning(
        "compiling the network: one to two minutes the first time, then some 20 seconds, "
        "from the cache in %s",
        cache,
    )
    start = time.perf_counter()
    parts = _parts(model)
    option = "triton.cudagraphs" if device.type == "cuda" else "freezing"
    for part in parts:
        part.forward = torch.compile(part.forward, dynamic=False, options={option: True})
    if device.type == "cuda":
        parts[0].forward = _marking_steps(parts[0].forward)
    try:
        for _ in range(WARM_UPS):
            run_once(model, device, ensemble)
    except RuntimeError as error:  # torch's own, without a compiler as well
        for part in parts:
            del part.forward
        reason = str(error).strip().splitlines()[0]
        logger.warning("torch.compile does not work here, going on without it: %s", reason)
        return model
    logger.warning("compiled and warm after %.0f s", time.perf_counter() - start)
    return model


def use_cache() -> Path:
    """Choose where compiled code is kept across runs, unless the user did.

    torch 2.14 sets the variable itself when timm is imported, to a temporary folder that does not
    last; that is not the user's choice and is replaced.
    """
    temporary = str(Path(tempfile.gettempdir()) / "torchinductor_")
    chosen = os.environ.get(CACHE_VARIABLE, "")
    if not chosen or chosen.startswith(temporary):
        chosen = str(platformdirs.user_cache_path("aiatrack", appauthor=False) / "inductor")
        os.environ[CACHE_VARIABLE] = chosen
    return Path(chosen)


@torch.inference_mode()
def run_once(model: AiATrack, device: torch.device, ensemble: int) -> Tensor:
    """Start on a black crop and find the target in it -> (1, 1) score."""
    side = model.grid * STRIDE
    image = torch.zeros(1, 3, side, side, device=device)
    mask = torch.zeros(1, side, side, dtype=torch.bool, device=device)
    box = torch.tensor([[0.4, 0.4, 0.2, 0.2]], device=device)
    encoded = model.encode(image, mask)
    first = model.memorize(encoded, box)
    recent = concat_references([first] * ensemble)
    encoded = model.encode(image, mask)
    features = model.decode(encoded, first, recent)
    box = model.box_head(features)
    return model.iou_head(features, box[:, None])


def _parts(model: AiATrack) -> list[nn.Module]:
    """What is compiled, in the order of a frame; each is one graph."""
    encoder, decoder = model.transformer.encoder, model.transformer.decoder
    return [model.backbone, encoder, decoder, model.box_head, model.iou_head]


def _marking_steps(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Tell CUDA graphs, before the first part, that the last frame's outputs are done with."""

    def run(*args: Any) -> Any:
        torch.compiler.cudagraph_mark_step_begin()
        return forward(*args)

    return run
