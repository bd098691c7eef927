"""Write labelled sequences as data sets lie on disk: users' own, OTB, LaSOT, GOT-10k, COCO tracks.

    write_lasot(Path("data"), [("walk-1", clip)])

Frames come first, boxes and lists last: of a sequence whose writing was cut short, nothing says
that it is there. Boxes are counted from pixel 0. Where a clip says which boxes people checked,
a file beside the boxes has 1 for them, 0 for others (`checked.txt`; COCO: `checked` of an object).
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from lib.utils.files import atomic_write_text
from lib.utils.image import encode_rgb


class Frames(Protocol):
    """Images (H, W, 3) uint8 RGB; none needs to be in memory before it is asked for."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[np.ndarray]: ...


class Clip(Protocol):
    """A sequence of T frames and its labels; `checked` (T,) bool may be there as well."""

    @property
    def frames(self) -> Frames: ...
    @property
    def boxes_xywh(self) -> np.ndarray:
        """(T, 4) float64 pixels; NaN or without a size where nobody knows."""

    @property
    def visible(self) -> np.ndarray:
        """(T,) bool: the target is to be seen."""

    @property
    def cover(self) -> np.ndarray:
        """(T,) float64: share of the target that is to be seen, [0, 1]."""


Clips = Iterable[tuple[str, Clip]]  # with their names
Split = Literal["train", "val"]

QUALITY = 95  # of JPEGs, of 100
COVER_LEVELS = (0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 0.999)  # GOT-10k: level 0 is 0 %, 8 is 100 %


def write_own(root: Path, clips: Clips) -> None:
    """Write `<name>/img/%08d.jpg` and `<name>/groundtruth.txt`, NaN where nothing is to be seen.

    Raises, as all writers here:
        ValueError: a name that is no file name, no frames, or parts of different lengths.
        FileExistsError: frames are left from a longer sequence of that name.
    """
    _write_folders(root, clips, "{:08d}.jpg", "groundtruth.txt")


def write_otb(root: Path, clips: Clips) -> None:
    """Write `<name>/img/%04d.jpg` and `groundtruth_rect.txt`, NaN where nothing is to be seen."""
    _write_folders(root, clips, "{:04d}.jpg", "groundtruth_rect.txt")


def _write_folders(root: Path, clips: Clips, pattern: str, boxes: str) -> None:
    for name, clip in clips:
        folder = root / name
        _write_frames(folder / "img", pattern, name, clip)
        _write_checked(folder / "checked.txt", clip)
        _write(folder / boxes, _rows(_where_visible(clip)))


def write_lasot(root: Path, clips: Clips) -> None:
    """Write `<class>/<class>-<n>/img/%08d.jpg`, boxes, and flags: out of view, or occluded."""
    for name, clip in clips:
        folder = root / name.rsplit("-", 1)[0] / name
        _write_frames(folder / "img", "{:08d}.jpg", name, clip)
        _write_checked(folder / "checked.txt", clip)
        boxes = np.nan_to_num(clip.boxes_xywh)
        outside = ~clip.visible & (boxes[:, 2:].min(1) <= 0)
        hidden = ~clip.visible & ~outside
        for flags, stem in ((hidden, "full_occlusion"), (outside, "out_of_view")):
            _write(folder / f"{stem}.txt", ",".join(str(int(flag)) for flag in flags) + "\n")
        _write(folder / "groundtruth.txt", _rows(boxes))


def write_got10k(
    root: Path, clips: Clips, *, split: Split = "train", quality: int = QUALITY
) -> None:
    """Write sequences of a split of GOT-10k under `root` and add them to its list.txt.

    Writing one again replaces it. JPEG `quality` is up to 100. Raises as `write_own`.
    """
    for name, clip in clips:
        folder = root / split / name
        size = _write_frames(folder, "{:08d}.jpg", name, clip, quality)
        _write_checked(folder / "checked.txt", clip)
        _write_got10k_labels(folder, clip, size)
        _write(folder / "groundtruth.txt", _rows(np.nan_to_num(clip.boxes_xywh), "{:.4f}".format))
        list_path = root / split / "list.txt"
        names = list_path.read_text().splitlines() if list_path.exists() else []
        if name not in names:
            _write(list_path, "".join(f"{line}\n" for line in [*names, name]))


def write_coco_tracks(root: Path, clips: Clips) -> None:
    """Write `images/` and `annotations.json` with videos and tracks (`coco_tracks.py` reads them).

    Clips of the very same `frames` are tracks of one video, called as the first of them is.
    """
    videos: dict[int, list[dict[str, Any]]] = {}
    content: dict[str, list[dict[str, Any]]] = {"videos": [], "images": [], "annotations": []}
    for track, (name, clip) in enumerate(clips, 1):
        if id(clip.frames) not in videos:
            video = len(videos) + 1
            size = _write_frames(root / "images" / name, "{:08d}.jpg", name, clip)
            videos[id(clip.frames)] = images = [
                {"id": len(content["images"]) + t, "file_name": f"{name}/{t:08d}.jpg"}
                | {"video_id": video, "frame_id": t - 1, "width": size[0], "height": size[1]}
                for t in range(1, len(clip.frames) + 1)
            ]
            content["videos"].append({"id": video, "name": name})
            content["images"] += images
        checked = _checked(clip)
        for t in np.flatnonzero(clip.visible).tolist():
            entry = {"id": len(content["annotations"]) + 1, "track_id": track, "category_id": 1}
            entry["image_id"] = videos[id(clip.frames)][t]["id"]
            entry |= coco_object(clip.boxes_xywh[t])
            content["annotations"].append(
                entry if checked is None else entry | {"checked": bool(checked[t])}
            )
    content["categories"] = [{"id": 1, "name": "object"}]
    _write(root / "annotations.json", json.dumps(content))


LAYOUTS: dict[str, Callable[[Path, Clips], None]] = {
    "own data": write_own,
    "OTB": write_otb,
    "LaSOT": write_lasot,
    "GOT-10k": write_got10k,
    "COCO": write_coco_tracks,
}


def write_image(path: Path, rgb: np.ndarray, quality: int = QUALITY) -> None:
    """Encode an (H, W, 3) uint8 RGB image; the file appears when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(encode_rgb(rgb, path.suffix, quality))
    temporary.replace(path)  # no fsync: such frames can be made again


def coco_object(box_xywh: np.ndarray) -> dict[str, Any]:
    """A COCO annotation, without its ids, whose outline is the box."""
    x, y, w, h = (float(value) for value in box_xywh)
    return {
        "bbox": [x, y, w, h],
        "area": w * h,
        "iscrowd": 0,
        "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
    }


def _write_frames(
    folder: Path, pattern: str, name: str, clip: Clip, quality: int = QUALITY
) -> tuple[int, int]:
    """Write the frames of a clip, counted from 1; return their width and height."""
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise ValueError(f"sequence name {name!r}: letters, digits, _, - and . are allowed")
    labels = {"boxes_xywh": clip.boxes_xywh, "visible": clip.visible, "cover": clip.cover}
    lengths = {"frames": len(clip.frames)} | {field: len(part) for field, part in labels.items()}
    if len(set(lengths.values())) != 1 or not lengths["frames"]:
        raise ValueError(f"{name}: as many boxes and flags as frames are needed, got {lengths}")
    beyond = folder / pattern.format(len(clip.frames) + 1)
    if beyond.exists():
        raise FileExistsError(f"{beyond} is left from a longer sequence; remove {folder} first")
    for number, frame in enumerate(clip.frames, 1):
        write_image(folder / pattern.format(number), frame, quality)
    return frame.shape[1], frame.shape[0]


def _write_got10k_labels(folder: Path, clip: Clip, size: tuple[int, int]) -> None:
    """Write absence.label (0, 1), cover.label (0..8 of 8) and meta_info.ini."""
    levels = np.where(clip.visible, np.digitize(clip.cover, COVER_LEVELS, right=True), 0)
    _write(folder / "absence.label", "".join(f"{int(not v)}\n" for v in clip.visible))
    _write(folder / "cover.label", "".join(f"{level}\n" for level in levels))
    minutes, seconds = divmod(len(clip.frames) // 10, 60)
    text = (
        "[METAINFO]\nurl: composed\nbegin: 00:00:00\n"
        f"end: 00:{minutes:02d}:{seconds:02d}\nanno_fps: 10Hz\nobject_class: object\n"
        "motion_class: moving\nmajor_class: object\nroot_class: object\nmotion_adverb: smoothly\n"
        f"resolution: {size}\n"
    )
    _write(folder / "meta_info.ini", text)


def _checked(clip: Clip) -> np.ndarray | None:
    return getattr(clip, "checked", None)


def _write_checked(path: Path, clip: Clip) -> None:
    if (checked := _checked(clip)) is not None:
        _write(path, "".join(f"{int(flag)}\n" for flag in checked))


def _where_visible(clip: Clip) -> np.ndarray:
    return np.where(clip.visible[:, None], clip.boxes_xywh, np.nan)


def _shortest(value: float) -> str:
    """At most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _rows(boxes: np.ndarray, number: Callable[[float], str] = _shortest) -> str:
    """One box per line."""
    return "".join(",".join(map(number, box)) + "\n" for box in boxes.tolist())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(path, text)
