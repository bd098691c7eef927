"""Photographs and the objects in them, decoded once into files that all processes map.

A folder of `<stem>.jpg`, some with a mask `<stem>.png`: a label map (each label a segment), or 255
on the one object and 0 beside it (as tracking/cut_objects.py writes). Decoding a photograph takes
longer than composing a frame of it, and a copy in each process more memory than there is.
"""

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from lib.io.array_cache import cache_paths
from lib.io.listing import list_folder
from lib.utils.files import read_regular
from lib.utils.image import ImageError, read_rgb

logger = logging.getLogger(__name__)

SEGMENT_SHARE = (0.008, 0.4)  # a segment's pixels over the image's: no speck, not the sky
SEGMENT_FILL = 0.35  # its pixels over its box's, at least: no webs and rings
SEGMENT_SIDE = 16  # its shorter side in pixels, at least
SEGMENT_ASPECT = 4  # its longer side over its shorter one, at most
SEGMENT_TEXTURE = 10.0  # standard deviation of its grey levels, at least
FORMAT = 1  # of the files


class Region(NamedTuple):
    """Part of an image."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    alpha: np.ndarray  # (h, w) uint8, 255 on the region
    corner: tuple[int, int]  # x, y of alpha's first pixel in the image


class Photographs:
    """Photographs by number, in the order of their names, and the segments of each."""

    def __init__(self, folder: Path) -> None:
        """Map the photographs of a folder, after decoding them where that is not done yet.

        Raises:
            FileNotFoundError: no folder, or no photograph in it that can be read.
        """
        files = _list_files(folder)
        if not any(name.endswith(".jpg") for name, _ in files):
            raise FileNotFoundError(f"{folder}: no *.jpg; photographs are needed")
        text = "\n".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in files)
        stamp = hashlib.blake2b(f"{FORMAT}\n{text}".encode(), digest_size=12).hexdigest()
        store = _find_store(folder, stamp) or _build(folder, files, stamp)
        with np.load(store / "index.npz", allow_pickle=False) as index:
            self.names: list[str] = index["names"].tolist()
            self._images, self._segments = index["images"], index["segments"]
        self._first = np.searchsorted(self._segments[:, 0], np.arange(len(self.names) + 1))
        if not self.names:
            raise FileNotFoundError(f"{folder}: none of its photographs can be read")
        self._bytes = np.memmap(store / "pixels", np.uint8, "r")

    def __len__(self) -> int:
        return len(self.names)

    def image(self, number: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB, read-only."""
        offset, height, width = self._images[number]
        return self._bytes[offset : offset + height * width * 3].reshape(height, width, 3)

    def segment_count(self, number: int) -> int:
        return int(self._first[number + 1] - self._first[number])

    def segment(self, number: int, index: int) -> Region:
        """The index-th segment of a photograph."""
        _, offset, height, width, x, y = self._segments[self._first[number] + index].tolist()
        alpha = self._bytes[offset : offset + height * width].reshape(height, width)
        return Region(self.image(number), alpha, (x, y))


def _list_files(folder: Path) -> list[tuple[str, os.stat_result]]:
    """Photographs and masks with what tells when they change, by name."""
    if not folder.is_dir():
        return []
    paths = [folder / name for name in list_folder(folder) if name.endswith((".jpg", ".png"))]
    return [(path.name, path.stat() if path.exists() else path.lstat()) for path in paths]


def _stores(folder: Path) -> list[Path]:
    """Where the decoded photographs may be, best first."""
    return [path.with_suffix(".photographs") for path in cache_paths(folder, "photographs")]


def _find_store(folder: Path, stamp: str) -> Path | None:
    for store in _stores(folder):
        marker = store / "stamp"
        if marker.is_file() and marker.read_text() == stamp:
            return store
    return None


def _build(folder: Path, files: list[tuple[str, os.stat_result]], stamp: str) -> Path:
    """Decode all photographs into a new store beside the folder, or in the project."""
    error: OSError | None = None
    for store in _stores(folder):
        try:
            store.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".{store.name}.", dir=store.parent))
        except OSError as failure:
            error = failure
            continue
        try:
            _write(temporary, folder, {name for name, _ in files})
            (temporary / "stamp").write_text(stamp)
            shutil.rmtree(store, ignore_errors=True)
            temporary.rename(store)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return store
    raise error or OSError(f"no place for the decoded photographs of {folder}")


def _write(store: Path, folder: Path, names: set[str]) -> None:
    photographs = sorted(name for name in names if name.endswith(".jpg"))
    logger.info("decoding %d photographs of %s into %s, once", len(photographs), folder, store)
    kept: list[str] = []
    images, segments = [], []
    with open(store / "pixels", "wb") as file:
        for name in photographs:
            mask = Path(name).with_suffix(".png").name
            try:
                image = read_rgb(folder / name)
            except (ImageError, OSError) as error:
                logger.warning("photograph left out: %s", error)
                continue
            images.append((file.tell(), *image.shape[:2]))
            file.write(image.tobytes())
            for region in _segments_or_none(image, folder / mask) if mask in names else ():
                place = (file.tell(), *region.alpha.shape, *region.corner)
                segments.append((len(kept), *place))
                file.write(np.ascontiguousarray(region.alpha).tobytes())
            kept.append(Path(name).stem)
    np.savez(
        store / "index.npz",
        names=np.array(kept, np.str_),
        images=np.array(images, np.int64).reshape(-1, 3),
        segments=np.array(segments, np.int64).reshape(-1, 6),
    )


def _segments_or_none(image: np.ndarray, path: Path) -> list[Region]:
    """The segments of a mask; none, and a warning, where it cannot be used."""
    try:
        return list(_segments(image, _read_mask(path, image.shape[:2])))
    except (OSError, ValueError, cv2.error) as error:
        logger.warning("mask left out: %s", error)
        return []


def _read_mask(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A label map, (H, W) integers; ValueError: it is none, or does not fit its photograph."""
    data = read_regular(path)
    mask = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if mask is None or mask.ndim != 2:
        raise ValueError(f"{path}: not a segmentation mask (one channel, one integer per pixel)")
    if mask.shape != shape:
        actual, expected = (f"{w}x{h}" for h, w in (mask.shape, shape))
        raise ValueError(f"{path}: the mask is {actual} pixels, its image {expected}")
    return mask


def _segments(image: np.ndarray, mask: np.ndarray) -> Iterator[Region]:
    """The segments of a mask that can pass for objects."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    labels, pixels = np.unique(mask, return_counts=True)
    if set(labels.tolist()) <= {0, 255}:  # one object, already judged
        x, y, width, height = cv2.boundingRect(mask)
        if width and height:
            yield Region(image, mask[y : y + height, x : x + width], (x, y))
        return
    for label in labels[pixels >= SEGMENT_SHARE[0] * mask.size]:
        yield from _components(image, grey, (mask == label).astype(np.uint8))


def _components(image: np.ndarray, grey: np.ndarray, mask: np.ndarray) -> Iterator[Region]:
    """The connected parts of one label that are not too small, large, thin or flat."""
    left, top, across, down = cv2.boundingRect(mask)
    total, mask = mask.size, mask[top : top + down, left : left + across]
    grey = grey[top : top + down, left : left + across]
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    for number in range(1, count):
        x, y, width, height, pixels = (int(v) for v in stats[number])
        short, long = sorted((width, height))
        fits = SEGMENT_SHARE[0] <= pixels / total <= SEGMENT_SHARE[1]
        compact = pixels >= SEGMENT_FILL * width * height and long <= SEGMENT_ASPECT * short
        if not fits or not compact or short < SEGMENT_SIDE:
            continue
        rows, columns = slice(y, y + height), slice(x, x + width)
        alpha = (numbers[rows, columns] == number).astype(np.uint8)
        outlines, _ = cv2.findContours(alpha, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(alpha, outlines, -1, 255, cv2.FILLED)  # what it encloses belongs to it
        if grey[rows, columns][alpha > 0].std() >= SEGMENT_TEXTURE:
            yield Region(image, alpha, (left + x, top + y))
