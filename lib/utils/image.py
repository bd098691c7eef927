"""Read an image file as (H, W, 3) uint8 RGB, or say what is wrong with it.

All frames of folders are read here: by jpeg4py (libturbojpeg) where it works, by OpenCV otherwise.
"""

import ctypes.util
import functools
import io
import logging
import re
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
from PIL import ExifTags, Image

from lib.utils.files import read_regular

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})

UNREADABLE = (OSError, ValueError, SyntaxError, KeyError, struct.error)  # what Pillow raises
EXIF_MARKS = (b"Exif", b"eXIf", b"EXIF")  # of JPEG, PNG and WebP
TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # by orientation tag
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image),
}


class ImageError(ValueError):
    """An image file that cannot be used; the message starts with its path."""


def check_rgb(image: np.ndarray) -> np.ndarray:
    """Return `image` if it is an (H, W, 3) uint8 array.

    Raises:
        TypeError: not an array of uint8. ValueError: another shape, or no pixels.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = f"{image.dtype} array" if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(f"an image is a uint8 NumPy array, RGB, 0..255; this is a {kind}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        hints = {(): " (grey: repeat it to 3 channels)", (4,): " (RGBA: drop the 4th channel)"}
        hint = hints.get(image.shape[2:], "")
        expected = "an image has shape (height, width, 3), RGB"
        raise ValueError(f"{expected}; this one has {image.shape}{hint}")
    return image


def read_rgb(path: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 RGB.

    8-bit grey files (OTB100 has many) are repeated to three channels. A photograph with an
    orientation tag is turned as the tag says, as cv2.imread does.

    Args:
        size: width and height that the data set states. Where they fit the stored pixels and not
            the turned ones, the boxes are of the stored pixels, and the tag is ignored.

    Raises:
        FileNotFoundError: no such file. OSError: not a regular file.
        ImageError: empty, truncated, not an image, over 8 bits per channel, too many pixels.
    """
    return decode_rgb(read_regular(path), path, size)


def decode_rgb(data: bytes, path: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Decode the bytes of an image file as `read_rgb` does; `path` is named in errors.

    Alpha is dropped, which is said once: a tracker sees what lies under transparent pixels.

    Raises:
        ImageError: see `read_rgb`.
    """
    if not data:
        raise ImageError(f"{path}: the file is empty")
    orientation = _read_header(path, data)
    is_jpeg = data[:2] == b"\xff\xd8"
    stored = _decode_jpeg(path, data) if is_jpeg else _decode_other(path, data)
    turned = TURNS.get(orientation, lambda image: image)(stored)
    if size is not None and stored.shape[1::-1] == size != turned.shape[1::-1]:
        _say_once(
            path, "an orientation tag; it is ignored where the data set states the stored size"
        )
        return stored
    return np.ascontiguousarray(turned)


def _read_header(path: str | Path, data: bytes) -> int:
    """Refuse more pixels than Pillow allows; return the orientation tag, without one 1, upright.

    TIFF files are turned by OpenCV itself.
    """
    try:
        with Image.open(io.BytesIO(data)) as file:
            if file.format != "TIFF" and any(mark in data for mark in EXIF_MARKS):
                return file.getexif().get(ExifTags.Base.Orientation, 1)
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: {error}") from None
    except UNREADABLE:  # OpenCV, which decodes it, says what is wrong, if anything is
        pass
    return 1


def _decode_other(path: str | Path, data: bytes) -> np.ndarray:
    image = _decode(data, cv2.IMREAD_UNCHANGED)
    if image is None:
        decoder = f"OpenCV {cv2.__version__}"
        raise ImageError(f"{path}: not an image that {decoder} can decode, or truncated")
    if image.dtype != np.uint8:
        raise ImageError(f"{path}: {image.dtype} pixels; 8 bits a channel are needed")
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    if image.shape[2] == 4:
        _say_once(path, "an alpha channel; it is dropped, of all images")
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def _say_once(path: str | Path, what: str) -> None:
    if what not in _said:
        logger.warning("%s has %s", path, what)
    _said.add(what)


def _decode(data: bytes, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # such as a header of more pixels than OpenCV allows
        return None


def _decode_jpeg(path: str | Path, data: bytes) -> np.ndarray:
    """Decode a complete JPEG; OpenCV alone would silently fill a truncated one with grey."""
    if not _jpeg_is_complete(data):
        raise ImageError(f"{path}: truncated JPEG ({len(data)} bytes, no end-of-image marker)")
    jpeg4py = _load_jpeg4py()
    if jpeg4py is not None:
        try:
            jpeg = jpeg4py.JPEG(np.frombuffer(data, np.uint8))
            jpeg.parse_header()
            return jpeg.decode(np.empty((jpeg.height, jpeg.width, 3), np.uint8))
        except jpeg4py.JPEGRuntimeError as error:  # for example CMYK; OpenCV reads more kinds
            logger.debug("%s: jpeg4py gave up (%s), trying OpenCV", path, error)
    image = _decode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise ImageError(f"{path}: broken JPEG")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _jpeg_is_complete(data: bytes) -> bool:
    """True if an end-of-image marker follows the first scan; thumbnails are skipped."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        position += 2 + length
        if marker == 0xDA:  # start of scan: entropy-coded data holds no 0xFFD9
            return data.rfind(b"\xff\xd9", position) >= 0  # at the end, as a rule
    return False


@functools.cache
def _load_jpeg4py() -> ModuleType | None:
    """Import jpeg4py and test it, once; None if it or libturbojpeg is missing or broken."""
    if ctypes.util.find_library("turbojpeg") is None:  # jpeg4py would complain without raising
        logger.info("JPEG decoder: OpenCV (no libturbojpeg on this machine)")
        return None
    try:
        import jpeg4py

        encoded = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].ravel()
        jpeg4py.JPEG(encoded).decode()
    except Exception as error:  # a broken C library gives OSError, AttributeError, cffi errors ...
        logger.info("JPEG decoder: OpenCV (jpeg4py does not work here: %s)", error)
        return None
    logger.info("JPEG decoder: jpeg4py")
    return jpeg4py


def jpeg_decoder() -> str:
    """Name of the JPEG decoder in use on this machine: "jpeg4py" or "OpenCV"."""
    return "OpenCV" if _load_jpeg4py() is None else "jpeg4py"


def encode_rgb(rgb: np.ndarray, suffix: str, quality: int = 95) -> bytes:
    """Encode an (H, W, 3) uint8 RGB image by its suffix; `quality` of 100, of JPEGs."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix in (".jpg", ".jpeg") else []
    return cv2.imencode(suffix, bgr, options)[1].tobytes()


def is_image_name(name: str) -> bool:
    """True for a file name that ends like an image."""
    return not name.startswith(".") and any(name.lower().endswith(s) for s in IMAGE_SUFFIXES)


def by_number(name: str) -> list[int | str]:
    """Sorting key that compares numbers in a name by value: 9.jpg before 10.jpg."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


_said: set[str] = set()  # in this process
