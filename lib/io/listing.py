"""One way to list a folder and to read a text: without what systems leave there by themselves.

Every reader of data uses these two, so that a copy from a Mac, a NAS or an editor of notebooks is
the data set that it was.
"""

import os
from pathlib import Path

from lib.utils.files import read_regular

SYSTEM_NAMES = frozenset(  # in lower case; hidden names, which start with a dot, come on top
    {
        "__macosx",
        "@eadir",
        "@recycle",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
    }
)


def is_listed(name: str) -> bool:
    """True for a name that a user chose: neither hidden nor a system's."""
    return not name.startswith(".") and name.lower() not in SYSTEM_NAMES


def list_folder(folder: str | Path) -> list[str]:
    """Sorted names in a folder, without hidden ones and those of systems; OSError: no folder."""
    return sorted(filter(is_listed, os.listdir(folder)))


def decode_text(data: bytes, path: str | Path) -> str:
    """Decode UTF-8, with or without a byte order mark; lines end with a line feed afterwards.

    ValueError names a file that is not text.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error.reason})") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_text(path: str | Path) -> str:
    """Read a text file as `decode_text` does; OSError: it cannot be read."""
    return decode_text(read_regular(path), path)


def split_lines(text: str) -> list[str]:
    """The lines that hold something, without the spaces around them: a list of names."""
    return [line.strip() for line in text.split("\n") if line.strip()]
