"""What users hand over as images and as sources of frames, made into what trackers take."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
from PIL import ImageOps

from lib.io.video.codecs import VideoError
from lib.io.video.sources import DEFAULT_RATE, Frame, FrameSource, open_source
from lib.utils.image import check_rgb, read_rgb

if TYPE_CHECKING:
    from torch import Tensor

Image = Any  # see `as_rgb`
Source = str | PathLike[str] | FrameSource | Iterable[Any]
PICTURES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")


def as_rgb(image: Image, *, bgr: bool = False) -> np.ndarray:
    """Make an (H, W, 3) uint8 RGB array of an image.

    Args:
        image: an (H, W, 3) uint8 array; a (3, H, W) or (1, 3, H, W) tensor, uint8 or in [0, 1]; a
            PIL image of at most 8 bits a channel, turned as its orientation tag says; a file.
        bgr: an array or tensor is BGR, as OpenCV reads it.

    Raises:
        TypeError, ValueError: none of these; `bgr` for an image that knows its own colours.
        FileNotFoundError, OSError, ImageError: see `read_rgb`.
    """
    if _is_tensor(image):
        image = _from_tensor(image)
    elif not isinstance(image, np.ndarray) and bgr:
        raise ValueError(f"bgr is for arrays and tensors; this is a {type(image).__name__}")
    if isinstance(image, PIL.Image.Image):
        return _from_picture(image)
    if isinstance(image, str | PathLike):
        return read_rgb(Path(image).expanduser())
    check_rgb(image)
    return np.ascontiguousarray(image[..., ::-1]) if bgr else image


def as_source(source: Source, *, bgr: bool = False, rate: float | None = None) -> FrameSource:
    """Open a source of frames.

    Args:
        source: what `open_source` opens by its name; an opened one; a list, array (T, H, W, 3) or
            tensor (T, 3, H, W) of images; an iterator of images, which is read once.
        bgr: arrays and tensors are BGR. rate: frames a second; None: what the source says, else 25.

    Raises:
        As `open_source`; TypeError, ValueError: none of these.
    """
    if isinstance(source, FrameSource):
        return source
    if isinstance(source, str | PathLike):
        return open_source(str(source), rate)
    if not isinstance(source, Iterable):
        kind = type(source).__name__
        raise TypeError(f"a source of frames is a name or holds images; this is a {kind}")
    return ImageSource(source, bgr=bgr, rate=rate)


class ImageSource(FrameSource):
    """Images in memory, or from an iterator."""

    def __init__(self, images: Iterable[Any], *, bgr: bool, rate: float | None) -> None:
        stored = isinstance(images, Sequence | np.ndarray) or _is_tensor(images)
        super().__init__("images", rate or DEFAULT_RATE, len(images) if stored else None)  # type: ignore[arg-type]
        self._images, self._bgr = images, bgr

    @property
    def count(self) -> int:
        return super().count if self.length is None else self.length

    def _read(self, number: int) -> Frame:
        return self._frame(number, self._images[number])  # type: ignore[index]

    def __iter__(self) -> Iterator[Frame]:
        number = -1
        for number, image in enumerate(self._images):
            yield self._frame(number, image)
        if number < 0:
            raise VideoError(f"{self.name}: there is none")

    def _frame(self, number: int, image: Image) -> Frame:
        try:
            return Frame(number, self.seconds(number), as_rgb(image, bgr=self._bgr))
        except (TypeError, ValueError) as error:
            raise type(error)(f"frame {number}: {error}") from error


def _is_tensor(image: Any) -> bool:
    """Whether it is one of torch's, which is imported then."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(image, torch.Tensor)


def _from_tensor(tensor: "Tensor") -> np.ndarray:
    expected = "a tensor of an image has shape (3, H, W), uint8 or floating point in [0, 1]"
    if tensor.ndim == 4 and len(tensor) == 1:
        tensor = tensor[0]
    if tensor.ndim != 3 or len(tensor) != 3:
        raise ValueError(f"{expected}; this one has {tuple(tensor.shape)}")
    if tensor.is_floating_point():
        if not bool(((tensor >= 0) & (tensor <= 1)).all()):
            low, high = tensor.min().item(), tensor.max().item()
            raise ValueError(f"{expected}; this one goes from {low:g} to {high:g}")
        tensor = (tensor.float() * 255).round().byte()
    array: np.ndarray = tensor.detach().permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(array)


def _from_picture(picture: PIL.Image.Image) -> np.ndarray:
    if picture.mode not in PICTURES:
        raise ValueError(f"a picture has 8 bits a channel; this one's PIL mode is {picture.mode!r}")
    return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
