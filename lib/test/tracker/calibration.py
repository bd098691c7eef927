"""Search windows to observe the ranges of activations on, before they are quantized.

By default they are of synthetic clips from a fixed seed: the network depends on its weights alone.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.plan import plan_clip
from lib.synthetic.procedural import ProceduralTextures
from lib.synthetic.render import render
from lib.test.parameter.aiatrack import TrackerParams
from lib.utils.crop import Crop
from lib.utils.image import by_number, is_image_name, read_rgb

CROPS = 8
SEED = 18

Pair = tuple[np.ndarray, np.ndarray]  # (H, W, 3) uint8 RGB, xywh box in pixels


def calibration_crops(params: TrackerParams, folder: str | Path | None = None) -> np.ndarray:
    """Cut (K, 3, S, S) windows, float32 RGB in [0, 1], as the tracker does.

    Args:
        folder: of images like those that will be tracked; None: synthetic ones.

    Raises:
        FileNotFoundError, ValueError: see `calibration_files`; an unreadable image.
    """
    generator = np.random.default_rng(SEED)
    pairs = _synthetic(generator) if folder is None else _from_folder(folder, generator)
    factor, size = params.search_factor, params.search_size
    crops = [Crop.around(box, factor, size).cut(image).image for image, box in pairs]
    return np.stack(crops).transpose(0, 3, 1, 2).astype(np.float32, order="C") / np.float32(255)


def calibration_files(folder: str | Path) -> list[Path]:
    """The first CROPS images of a folder, by number; FileNotFoundError where there is none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"calibration: no folder {folder}")
    names = sorted((p.name for p in folder.iterdir() if is_image_name(p.name)), key=by_number)
    if not names:
        raise FileNotFoundError(f"calibration: no image in {folder}")
    return [folder / name for name in names[:CROPS]]


def _synthetic(generator: np.random.Generator) -> Iterator[Pair]:
    for _ in range(CROPS):
        clip = render(plan_clip(generator, ProceduralTextures(), ClipOptions(length=1)))
        yield clip.frames[0], clip.boxes_xywh[0]


def _from_folder(folder: str | Path, generator: np.random.Generator) -> Iterator[Pair]:
    """Images of a folder, with a box drawn anywhere, of a fifth of the shorter side."""
    for path in calibration_files(folder):
        image = read_rgb(path)
        height, width = image.shape[:2]
        side = min(height, width) / 5
        x, y = generator.uniform(0, [width - side, height - side])
        yield image, np.array([x, y, side, side])
