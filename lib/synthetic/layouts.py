"""Write clips in GOT-10k's layout, file by file as the real data set lies on disk.

Frames come first, the list last: a sequence whose writing was cut short is missing from the list.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np

from lib.synthetic.render import Clip
from lib.utils.files import atomic_write_text
from lib.utils.image import encode_rgb

Clips = Iterable[tuple[str, Clip]]  # with their names
Split = Literal["train", "val"]

QUALITY = 95  # of JPEGs, of 100
COVER_LEVELS = (0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 0.999)  # GOT-10k: level 0 is 0 %, 8 is 100 %


def write_got10k(
    root: Path, clips: Clips, *, split: Split = "train", quality: int = QUALITY
) -> None:
    """Write sequences of a split of GOT-10k under `root` and add them to its list.txt.

    Writing one again replaces it. Boxes are counted from pixel 0; JPEG `quality` is up to 100.

    Raises:
        ValueError: a name that is no file name, no frames, or parts of different lengths.
        FileExistsError: frames are left from a longer sequence of that name.
    """
    for name, clip in clips:
        _check(name, clip)
        folder = root / split / name
        beyond = folder / f"{len(clip.frames) + 1:08d}.jpg"
        if beyond.exists():
            raise FileExistsError(f"{beyond} is left from a longer sequence; remove {folder} first")
        for number, frame in enumerate(clip.frames, 1):
            write_image(folder / f"{number:08d}.jpg", frame, quality)
        _write_labels(folder, clip)
        lines = (",".join(f"{value:.4f}" for value in box) for box in clip.boxes_xywh)
        atomic_write_text(folder / "groundtruth.txt", "".join(f"{line}\n" for line in lines))
        list_path = root / split / "list.txt"
        names = list_path.read_text().splitlines() if list_path.exists() else []
        if name not in names:
            atomic_write_text(list_path, "".join(f"{line}\n" for line in [*names, name]))


def write_image(path: Path, rgb: np.ndarray, quality: int = QUALITY) -> None:
    """Encode an (H, W, 3) uint8 RGB image; the file appears when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(encode_rgb(rgb, path.suffix, quality))
    temporary.replace(path)  # no fsync: synthetic frames can be made again


def _check(name: str, clip: Clip) -> None:
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise ValueError(f"sequence name {name!r}: letters, digits, _, - and . are allowed")
    lengths = {field: len(part) for field, part in clip._asdict().items()}
    if len(set(lengths.values())) != 1 or not lengths["frames"]:
        raise ValueError(f"{name}: as many boxes and flags as frames are needed, got {lengths}")


def _write_labels(folder: Path, clip: Clip) -> None:
    """Write absence.label (0, 1), cover.label (0..8 of 8) and meta_info.ini."""
    levels = np.where(clip.visible, np.digitize(clip.cover, COVER_LEVELS, right=True), 0)
    atomic_write_text(folder / "absence.label", "".join(f"{int(not v)}\n" for v in clip.visible))
    atomic_write_text(folder / "cover.label", "".join(f"{level}\n" for level in levels))
    height, width = clip.frames.shape[1:3]
    minutes, seconds = divmod(len(clip.frames) // 10, 60)
    text = (
        "[METAINFO]\nurl: composed\nbegin: 00:00:00\n"
        f"end: 00:{minutes:02d}:{seconds:02d}\nanno_fps: 10Hz\nobject_class: object\n"
        "motion_class: moving\nmajor_class: object\nroot_class: object\nmotion_adverb: smoothly\n"
        f"resolution: ({width}, {height})\n"
    )
    atomic_write_text(folder / "meta_info.ini", text)
