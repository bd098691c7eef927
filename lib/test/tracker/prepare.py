"""The network in PyTorch, made ready for its device, and a tracker around it.

load.py imports this where PyTorch is wanted; lib/models/aiatrack/fast has the ways to run.
"""

import ctypes
import logging
import sys
from functools import partial

import numpy as np
import torch

from lib.config.aiatrack.config import load_config, recipe_name
from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.fast.compiled import compile_network
from lib.models.aiatrack.fast.cudnn import fuse_layers
from lib.models.aiatrack.fast.factored import optimize_network
from lib.models.aiatrack.fast.precision import cast_network, computes_bf16_natively
from lib.models.aiatrack.fast.prepacked import prepack
from lib.models.aiatrack.fast.quantized import check_int8, quantize_network
from lib.models.aiatrack.prroi_pool import load_cuda_pooling
from lib.models.aiatrack.weights import load_weights
from lib.test.parameter.aiatrack import TrackerParams, find_checkpoint, make_params
from lib.test.tracker.aiatrack import AiATrackTracker
from lib.test.tracker.calibration import calibration_crops
from lib.test.tracker.graphed import GraphedTracker
from lib.test.tracker.options import TrackerOptions
from lib.utils.device import choose_device

logger = logging.getLogger(__name__)


def load_torch_tracker(options: TrackerOptions) -> AiATrackTracker:
    """Make a tracker with its network in PyTorch; see `load_tracker`."""
    cfg = load_config(options.config)
    params = make_params(cfg, options.dataset, options.hyper, options.lost_below)
    device = choose_device(options.device)
    check_device(options, device)
    model = build_aiatrack(cfg)
    load_weights(model, options.checkpoint or find_checkpoint(cfg, recipe_name(options.config)))
    if options.pooling == "cuda":
        model.iou_head.pool = load_cuda_pooling()
    tracker = make_torch_tracker(model, options, params, device)
    del model
    return_freed_memory()
    return tracker


def make_torch_tracker(
    model: AiATrack, options: TrackerOptions, params: TrackerParams, device: torch.device
) -> AiATrackTracker:
    """Make a network ready for a checked device, and a tracker around it; see `prepare_network`."""
    kind = GraphedTracker if options.graph else AiATrackTracker
    return kind(prepare_network(model, options, params, device), params, device)


def return_freed_memory() -> None:
    """Give the system back what was freed, as weights on their way; glibc keeps it otherwise."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def prepare_network(
    model: AiATrack, options: TrackerOptions, params: TrackerParams, device: torch.device
) -> AiATrack:
    """Make the network for a checked device; `model` itself if plain.

    Raises:
        FileNotFoundError, ValueError: nothing to calibrate with.
    """
    if options.plain:
        return model
    model = optimize_network(model)
    if options.precision == "int8":
        crops = calibration_crops(params, options.calibration or None)
        quantize_network(model, torch.from_numpy(crops))
    elif options.precision != "fp32":
        cast_network(model, {"bf16": torch.bfloat16, "fp16": torch.float16}[options.precision])
    if device.type == "cpu" and not options.compile:
        prepack(model, winograd=options.precision == "fp32")
    elif device.type == "cuda" and not options.compile:
        fuse_layers(model.to(device), device)
    if options.compile:
        tracker = AiATrackTracker(model, params, device)
        compile_network(model, device, partial(_track_once, tracker))
    return model


def _track_once(tracker: AiATrackTracker) -> None:
    frame = np.zeros((240, 320, 3), np.uint8)
    tracker.initialize(frame, [140, 100, 40, 40])
    tracker.track(frame)


def check_device(options: TrackerOptions, device: torch.device) -> None:
    """Warn where a device runs the network slowly; ValueError, RuntimeError where it cannot."""
    if options.precision == "fp16" and device.type != "cuda":
        raise ValueError(f"fp16 needs a GPU; on {device} there are fp32, bf16 and int8")
    if options.graph and device.type != "cuda":
        raise ValueError(f"CUDA graphs need a GPU; the device is {device}")
    if options.precision == "int8" and device.type != "cpu":
        raise ValueError(f"int8 is for CPUs; on {device} there are fp32, bf16 and fp16")
    if options.precision == "int8":
        check_int8()
    if options.precision == "bf16" and not computes_bf16_natively(device):
        logger.warning("%s computes bf16 by way of fp32: that is slower than fp32", device)
