"""Guards names of images and the order of frames."""

from lib.utils.image import by_number, is_image_name


def test_names() -> None:
    assert all(map(is_image_name, ["a.jpg", "b.JPEG", "0001.png", "x.y.webp"]))
    assert not any(map(is_image_name, ["groundtruth.txt", ".hidden.jpg", "jpg", "a.jpg.tmp"]))


def test_order() -> None:
    assert sorted(["10.jpg", "9.jpg", "b2.jpg", "b10.jpg"], key=by_number) == [
        *("9.jpg", "10.jpg", "b2.jpg", "b10.jpg")
    ]
