"""The same two sequences as a user may have them: folders, a CSV, COCO with videos, video files."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from made_videos import numbered_frame, write_numbered

COUNTS = {"walk": 12, "ride": 9}
HIDDEN = 4  # the frame that no sequence has a box in


def boxes_of(name: str) -> np.ndarray:
    """Boxes (T, 4) of a sequence; NaN in frame HIDDEN."""
    boxes = np.array([[10.0 + t, 20, 30 + len(name), 16] for t in range(COUNTS[name])])
    boxes[HIDDEN] = np.nan
    return boxes


def write_boxes(path: Path, name: str) -> Path:
    """Write a text file of boxes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(",".join(f"{v:g}" for v in box) + "\n" for box in boxes_of(name)))
    return path


def write_images(folder: Path, name: str) -> list[str]:
    """Write a sequence's frames without leading zeros; return their names in order."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"shot{number}.png" for number in range(COUNTS[name])]
    for number, file in enumerate(names):
        bgr = cv2.cvtColor(numbered_frame(number), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / file), bgr)
    return names


def write_folders(root: Path) -> None:
    """Frames beside the boxes, or in img."""
    for name, inside in (("walk", "img"), ("ride", ".")):
        write_images(root / name / inside, name)
        write_boxes(root / name / "groundtruth.txt", name)
    (root / "notes.txt").write_text("not a sequence")


def write_videos(root: Path) -> None:
    """Videos with boxes beside them."""
    for name in COUNTS:
        write_numbered(root / f"{name}.mp4", COUNTS[name])
        write_boxes(root / f"{name}.txt", name)


def write_csv(root: Path) -> None:
    """A table that names a video and a folder elsewhere."""
    write_numbered(root / "clips" / "a b.avi", COUNTS["walk"], "MJPG")
    write_images(root / "clips" / "ride", "ride")
    for name in COUNTS:
        write_boxes(root / "boxes" / f"{name}.csv", name)
    (root / "sequences.csv").write_text(
        "name,note,frames,boxes\n"
        'walk,"a, quoted",clips/a b.avi,boxes/walk.csv\n'
        f"ride,,./clips/ride,{root / 'boxes' / 'ride.csv'}\n"
    )


def write_coco(root: Path) -> None:
    """One JSON; the images of a video are listed backwards, and carry the frame's number."""
    images, objects = [], []
    for video, name in enumerate(COUNTS, 1):
        files = write_images(root / "images" / name, name)
        for number, file in reversed(list(enumerate(files))):
            image = {"id": len(images), "file_name": f"{name}/{file}", "video_id": video}
            images.append(image | {"frame_id": number})
            box = boxes_of(name)[number]
            if np.isfinite(box).all():
                entry = {"image_id": len(images) - 1, "track_id": video + 6, "bbox": box.tolist()}
                objects.append(entry)
    videos = [{"id": number, "name": name} for number, name in enumerate(COUNTS, 1)]
    content = {"videos": videos, "images": images, "annotations": objects}
    (root / "annotations.json").write_text(json.dumps(content))


# Format: how to write it, and what the sequences are called in it.
FORMATS: dict[str, tuple[Callable[[Path], None], dict[str, str]]] = {
    "folders": (write_folders, {"walk": "walk", "ride": "ride"}),
    "videos": (write_videos, {"walk": "walk", "ride": "ride"}),
    "csv": (write_csv, {"walk": "walk", "ride": "ride"}),
    "coco": (write_coco, {"walk": "walk_7", "ride": "ride_8"}),
}
