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

from lib.models.aiatrack.aiatrack import AiATrack

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
WARM_UPS = 3  # frames: the first compiles, the next ones record CUDA graphs


def compile_network(
    model: AiATrack, device: torch.device, track_once: Callable[[], object]
) -> None:
    """Compile an optimized network on its device, in place, and run it until it is warm.

    Without a compiler that works, the network is as before, and a warning says why.

    Args:
        track_once: starts on a frame and tracks in another, exactly as a tracker will: other
            shapes, numbers of references or kinds of tensors would be compiled anew.
    """
    cache = use_cache()
    logger.warning(
        "compiling the network: one to two minutes the first time, then some 20 seconds, "
        "from the cache in %s",
        cache,
    )
    start = time.perf_counter()
    # In the order of a frame; each is one graph.
    encoder, decoder = model.transformer.encoder, model.transformer.decoder
    parts = [model.backbone, encoder, decoder, model.box_head, model.iou_head]
    option = "triton.cudagraphs" if device.type == "cuda" else "freezing"
    for part in parts:
        part.forward = torch.compile(part.forward, dynamic=False, options={option: True})
    if device.type == "cuda":
        parts[0].forward = _marking_steps(parts[0].forward)
    try:
        for _ in range(WARM_UPS):
            track_once()
    except RuntimeError as error:  # torch's own, without a compiler as well
        for part in parts:
            del part.forward
        reason = str(error).strip().splitlines()[0]
        logger.warning("torch.compile does not work here, going on without it: %s", reason)
    else:
        logger.warning("compiled and warm after %.0f s", time.perf_counter() - start)


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


def _marking_steps(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Tell CUDA graphs, before the first part, that the last frame's outputs are done with."""

    def run(*args: Any) -> Any:
        torch.compiler.cudagraph_mark_step_begin()
        return forward(*args)

    return run
