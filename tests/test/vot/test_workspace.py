"""Guards VOT workspaces as files; tests/tracking/test_vot.py lets the toolkit read them."""

import configparser
import json
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest

from lib.synthetic.clip_options import ClipOptions
from lib.test.vot.regions import EmptyMaskError, tight_box
from lib.test.vot.workspace import CLIPS, encode_mask, write_local_stack, write_registry


def decode_mask(line: str) -> np.ndarray:
    """Read a line of ground truth back, as the toolkit's files are described: (bottom, right)."""
    x, y, w, h, *runs = (int(v) for v in line.strip().removeprefix("m").split(","))
    pixels = np.concatenate([np.full(run, i % 2, np.uint8) for i, run in enumerate(runs)])
    mask = np.zeros((y + h, x + w), np.uint8)
    mask[y:, x:] = pixels.reshape(h, w)
    return mask


def test_a_registry_starts_the_command_and_keeps_other_trackers(tmp_path: Path) -> None:
    (tmp_path / "trackers.ini").write_text("[other]\nprotocol = trax\ncommand = run %%me\n")
    command = ["/a b/python", "/100%/vot_tracker.py", "--param", "it's"]
    path = write_registry(tmp_path, command, "Ours, 50%")
    assert write_registry(tmp_path, command, "Ours, 50%").read_text() == path.read_text()
    parser = configparser.ConfigParser()  # as the toolkit reads it
    parser.read(path)
    assert parser.sections() == ["other", "aiatrack"] and parser["other"]["command"] == "run %me"
    assert shlex.split(parser["aiatrack"]["command"]) == command
    assert parser["aiatrack"]["label"] == "Ours, 50%" and parser["aiatrack"]["protocol"] == "trax"


def test_a_file_that_is_no_registry_stays(tmp_path: Path) -> None:
    (tmp_path / "trackers.ini").write_text("no section\n")
    with pytest.raises(ValueError, match=r"trackers\.ini is no registry"):
        write_registry(tmp_path, ["python"])
    assert (tmp_path / "trackers.ini").read_text() == "no section\n"


MASKS = {
    "one pixel": (np.array([[0, 0], [0, 1]]), "m1,1,1,1,0,1"),
    "zeros first": (np.array([[0, 1], [1, 1]]), "m0,0,2,2,1,3"),
    "ones first": (np.array([[1, 1, 0], [0, 0, 1]]), "m0,0,3,2,0,2,3,1"),
    "cropped": (np.array([[0, 0, 0], [0, 2, 2], [0, 2, 0]]), "m1,1,2,2,0,3,1"),
}


@pytest.mark.parametrize(("mask", "text"), MASKS.values(), ids=MASKS)
def test_masks_in_text(mask: np.ndarray, text: str) -> None:
    assert encode_mask(mask) == text
    read = decode_mask(text)
    assert (read == (mask != 0)[: read.shape[0], : read.shape[1]]).all()
    assert read.sum() == (mask != 0).sum()


def test_an_empty_mask_has_no_text() -> None:
    with pytest.raises(EmptyMaskError):
        encode_mask(np.zeros((3, 3)))


def test_the_local_stack(tmp_path: Path) -> None:
    options = ClipOptions(**{**vars(CLIPS), "length": 8, "height": 120, "width": 160})
    write_local_stack(tmp_path, clips=1, options=options)
    assert json.loads((tmp_path / "config.yaml").read_text())["stack"] == "stack.yaml"
    stack = json.loads((tmp_path / "stack.yaml").read_text())
    assert set(stack["experiments"]) == {"baseline", "unsupervised"}
    assert (tmp_path / "sequences" / "list.txt").read_text() == "clip1\n"
    folder = tmp_path / "sequences" / "clip1"
    frames = sorted(path.name for path in (folder / "color").iterdir())
    assert frames == [f"{n:08d}.jpg" for n in range(1, 9)]
    assert cv2.imread(str(folder / "color" / frames[0])).shape == (120, 160, 3)
    boxes = [tight_box(decode_mask(m)) for m in (folder / "groundtruth.txt").read_text().split()]
    assert len(boxes) == 8 and all(w > 10 and h > 10 for _, _, w, h in boxes)
    assert (folder / "anchor.value").read_text().split() == "1 0 0 0 1 0 0 -1".split()
    with pytest.raises(FileExistsError, match="is a workspace already"):
        write_local_stack(tmp_path, clips=1, options=options)
