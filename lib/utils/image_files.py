"""Which files are images, and in what order a folder of frames is meant to be read."""

import re

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


def is_image_name(name: str) -> bool:
    """True for a file name that ends like an image."""
    return not name.startswith(".") and any(name.lower().endswith(s) for s in IMAGE_SUFFIXES)


def by_number(name: str) -> list:
    """Sorting key that counts the numbers in a name as numbers: 9.jpg before 10.jpg."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
