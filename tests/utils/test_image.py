"""Guards reading images: what is accepted and refused by both decoders; names and their order."""

import ctypes.util
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from lib.utils import image as image_module
from lib.utils.image import (
    ImageError,
    by_number,
    check_rgb,
    encode_rgb,
    is_image_name,
    jpeg_decoder,
    read_rgb,
)

PICTURE = np.zeros((48, 64, 3), np.uint8)
PICTURE[..., 0] = 200  # red
PICTURE[:24, :, 1] = 120


@pytest.fixture(params=["jpeg4py", "OpenCV"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with each JPEG decoder."""
    if request.param == "OpenCV":
        monkeypatch.setattr(image_module, "_load_jpeg4py", lambda: None)
    elif jpeg_decoder() != "jpeg4py":
        pytest.skip("libturbojpeg is not installed")
    return request.param


def write(path: Path, rgb: np.ndarray) -> Path:
    """Write RGB (or grey, RGBA) with OpenCV, which wants BGR."""
    order = [2, 1, 0, 3][: rgb.shape[2]] if rgb.ndim == 3 else None
    assert cv2.imwrite(str(path), rgb if order is None else rgb[..., order])
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_colours_are_rgb(tmp_path: Path, decoder: str, suffix: str) -> None:
    got = read_rgb(write(tmp_path / f"a{suffix}", PICTURE))
    assert got.shape == PICTURE.shape and got.dtype == np.uint8
    assert np.abs(got.astype(int) - PICTURE).mean() < 3


def test_grey_jpeg_becomes_three_channels(tmp_path: Path, decoder: str) -> None:
    got = read_rgb(write(tmp_path / "grey.jpg", PICTURE[..., 1]))
    assert got.shape == PICTURE.shape and (got[..., 0] == got[..., 2]).all()


def test_grey_png_becomes_three_channels(tmp_path: Path) -> None:
    got = read_rgb(write(tmp_path / "grey.png", PICTURE[..., 1]))
    assert (got == PICTURE[..., 1:2]).all()


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9, 0.99])
def test_truncated_jpeg_is_refused(tmp_path: Path, decoder: str, keep: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    path = write(tmp_path / "cut.jpg", noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(ImageError, match=r"cut\.jpg: truncated JPEG"):
        read_rgb(path)


def test_thumbnail_end_marker_does_not_hide_a_truncation(tmp_path: Path) -> None:
    path = write(tmp_path / "thumb.jpg", PICTURE)
    data = path.read_bytes()
    thumbnail = b"\xff\xe1\x00\x06\xff\xd8\xff\xd9"  # an APP1 segment that holds an end marker
    path.write_bytes(data[:2] + thumbnail + data[2:])
    assert read_rgb(path).shape == PICTURE.shape
    path.write_bytes(data[:2] + thumbnail + data[2:-2])
    with pytest.raises(ImageError, match="truncated"):
        read_rgb(path)


BAD_FILES = [
    ("sixteen.png", (PICTURE[..., 0].astype(np.uint16) * 256), "uint16 pixels; 8 bits"),
]


@pytest.mark.parametrize(("name", "pixels", "message"), BAD_FILES, ids=[c[0] for c in BAD_FILES])
def test_other_pixels_are_refused(
    tmp_path: Path, name: str, pixels: np.ndarray, message: str
) -> None:
    with pytest.raises(ImageError, match=rf"{name}: {message}"):
        read_rgb(write(tmp_path / name, pixels))


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_alpha_is_dropped_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    monkeypatch.setattr(image_module, "_said", set())
    path = write(tmp_path / name, np.dstack([PICTURE, PICTURE[..., 0]]))
    got = [read_rgb(path) for _ in range(3)]
    assert np.abs(got[2].astype(int) - PICTURE).mean() < 3
    assert [r.getMessage() for r in caplog.records] == [
        f"{path} has an alpha channel; it is dropped, of all images"
    ]


def claiming(kind: str, side: int) -> bytes:
    """A small file whose header says that it has side x side pixels."""
    data = cv2.imencode(kind, PICTURE)[1].tobytes()
    height, width = PICTURE.shape[:2]
    sizes = {".png": (">II", (width, height)), ".bmp": ("<ii", (width, height))}
    layout, size = sizes.get(kind, (">HH", (height, width)))
    stored = struct.pack(layout, *size)
    assert data.count(stored) >= 1
    changed = data.replace(stored, struct.pack(layout, side, side), 1)
    if kind == ".png":  # the checksum of its header
        changed = changed[:29] + struct.pack(">I", zlib.crc32(changed[12:29])) + changed[33:]
    return changed


@pytest.mark.parametrize("kind", [".jpg", ".png", ".bmp"])
def test_size_is_judged_before_memory_is_taken(tmp_path: Path, decoder: str, kind: str) -> None:
    path = tmp_path / f"bomb{kind}"
    path.write_bytes(claiming(kind, 60_000))
    with pytest.raises(ImageError, match=rf"bomb\{kind}: Image size \(3600000000 pixels\) exceeds"):
        read_rgb(path)


def test_pixels_that_opencv_refuses(tmp_path: Path) -> None:
    """A kind that Pillow does not know: OpenCV's own limit."""
    path = tmp_path / "a.png"
    path.write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 60000 +X 60000\n" + bytes(99))
    with pytest.raises(ImageError, match=r"a\.png: not an image that OpenCV"):
        read_rgb(path)


def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(OSError, match=r"a\.jpg: not a regular file, but a pipe"):
        read_rgb(tmp_path / "a.jpg")


def test_missing_empty_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.jpg"):
        read_rgb(tmp_path / "none.jpg")
    (tmp_path / "empty.jpg").write_bytes(b"")
    with pytest.raises(ImageError, match=r"empty\.jpg: the file is empty"):
        read_rgb(tmp_path / "empty.jpg")
    (tmp_path / "text.jpg").write_text("not an image")
    with pytest.raises(ImageError, match=r"text\.jpg: not an image"):
        read_rgb(tmp_path / "text.jpg")


def test_no_library_no_noise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(ctypes.util, "find_library", lambda _: None)
    image_module._load_jpeg4py.cache_clear()
    try:
        assert jpeg_decoder() == "OpenCV"
        read_rgb(write(tmp_path / "a.jpg", PICTURE))
        assert capfd.readouterr() == ("", "")
    finally:
        image_module._load_jpeg4py.cache_clear()


BAD_ARRAYS = [
    ("grey", PICTURE[..., 0], ValueError, "grey"),
    ("RGBA", np.dstack([PICTURE, PICTURE[..., 0]]), ValueError, "RGBA"),
    ("16 bits", PICTURE.astype(np.uint16), TypeError, "uint16"),
    ("floats", PICTURE / 255, TypeError, "float64"),
    ("a list", [[1, 2, 3]], TypeError, "list"),
    ("no pixels", PICTURE[:0], ValueError, r"\(0, 64, 3\)"),
]


@pytest.mark.parametrize(("name", "array", "error", "message"), BAD_ARRAYS)
def test_arrays_that_are_not_rgb(name: str, array, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        check_rgb(array)


def test_names() -> None:
    assert all(map(is_image_name, ["a.jpg", "b.JPEG", "0001.png", "x.y.webp"]))
    assert not any(map(is_image_name, ["groundtruth.txt", ".hidden.jpg", "jpg", "a.jpg.tmp"]))


def test_order() -> None:
    assert sorted(["10.jpg", "9.jpg", "b2.jpg", "b10.jpg"], key=by_number) == [
        "9.jpg",
        "10.jpg",
        "b2.jpg",
        "b10.jpg",
    ]


def write_turned(path: Path, tag: int) -> Path:
    """Write PICTURE with an orientation tag."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = tag
    Image.fromarray(PICTURE).save(
        path, exif=exif, **({"quality": 95} if ".jp" in path.name else {})
    )
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("tag", range(1, 9))
def test_orientation_tags_turn_the_image(
    tag: int, suffix: str, decoder: str, tmp_path: Path
) -> None:
    path = write_turned(tmp_path / f"turned{suffix}", tag)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    image = read_rgb(path)
    assert image.shape == expected.shape and image.flags.c_contiguous
    assert np.abs(image.astype(int) - expected).max() < 8  # decoders of JPEG differ a little
    if suffix == ".jpg":
        by_opencv = cv2.imread(str(path))[..., ::-1]
        assert np.abs(image.astype(int) - by_opencv).max() < 8


def test_the_stated_size_decides_whether_an_image_is_turned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(image_module, "_said", set())
    path = write_turned(tmp_path / "turned.jpg", 6)
    height, width = PICTURE.shape[:2]
    sizes = {
        None: (width, height),
        (height, width): (width, height),
        (width, height): (height, width),
    }
    for stated, shape in [*sizes.items()] * 2:
        assert read_rgb(path, stated).shape[:2] == shape, stated
    assert caplog.messages == [
        f"{path} has an orientation tag; it is ignored where the data set states the stored size"
    ]
    assert read_rgb(path, (5, 5)).shape[:2] == (width, height)  # fits neither: as the tag says


def test_a_broken_tag_leaves_the_image_as_it_is(tmp_path: Path) -> None:
    data = bytearray(write_turned(tmp_path / "turned.jpg", 6).read_bytes())
    start = data.index(b"Exif") + 6
    data[start : start + 8] = b"\xff" * 8
    (tmp_path / "broken.jpg").write_bytes(data)
    assert read_rgb(tmp_path / "broken.jpg").shape == PICTURE.shape


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_encoded_images_are_read_back(
    suffix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"encoded{suffix}"
    path.write_bytes(encode_rgb(PICTURE, suffix))
    assert np.abs(read_rgb(path).astype(int) - PICTURE).mean() <= (0 if suffix == ".png" else 3)
    assert capfd.readouterr().err == ""  # OpenCV warns of options that a format does not have
