"""Folders for the VOT toolkit: a registry that starts this checkout, and a small local stack.

The formats are the toolkit's: `trackers.ini`, `config.yaml`, `stack.yaml`, and a folder a sequence
with `sequence`, `groundtruth.txt` (masks, run-length coded), `anchor.value` and `color/%08d.jpg`.
`tracking/vot_workspace.py` is the program; the toolkit reads them in its own process.
"""

import configparser
import io
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lib.io.layouts import write_image
from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.plan import plan_clip
from lib.synthetic.procedural import ProceduralTextures
from lib.synthetic.render import Area, ClipPlan, render
from lib.test.vot.regions import tight_box
from lib.utils.files import atomic_write_text

TIMEOUT = 600  # seconds that the toolkit waits for an answer; the first one loads the network
IDENTIFIER = "aiatrack"
CLIPS = ClipOptions(
    length=24, object_size=(0.15, 0.35), occluders=(0, 0), leave=0.0, region=0.0, faint=0.0
)  # the target is to be seen in every frame: any of them may be an anchor


def write_registry(folder: Path, command: Sequence[str], label: str = "AiATrack") -> Path:
    """Add this checkout's tracker to a registry, or replace it there; return its trackers.ini.

    Args:
        folder: of the registry; made if missing. Other trackers in its trackers.ini are kept.
        command: program and arguments, with absolute paths: it is run in another folder.
        label: for the toolkit's tables and plots.

    Raises:
        ValueError: an existing trackers.ini is no such file.
    """
    path = Path(folder) / "trackers.ini"
    parser = configparser.ConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except configparser.Error as error:
        raise ValueError(f"{path} is no registry: {error}") from error
    parser[IDENTIFIER] = {
        "label": label.replace("%", "%%"),
        "protocol": "trax",
        "command": shlex.join(command).replace("%", "%%"),
        "timeout": str(TIMEOUT),
    }
    text = io.StringIO()
    parser.write(text)
    atomic_write_text(path, text.getvalue())
    return path


def write_local_stack(folder: Path, clips: int = 2, options: ClipOptions = CLIPS) -> None:
    """Write a workspace with a stack of synthetic clips, to be evaluated without any download.

    Its experiments are those of VOT2020: `baseline` starts at anchors and runs forward and
    backward, `unsupervised` runs through; the ground truth is masks. The numbers say nothing about
    the tracker's quality: they show that the whole chain works.

    Raises:
        FileExistsError: the folder, made if missing, is a workspace already.
    """
    folder = Path(folder)
    if (folder / "config.yaml").exists():
        raise FileExistsError(f"{folder} is a workspace already; choose another folder")
    names = [f"clip{number + 1}" for number in range(clips)]
    for number, name in enumerate(names):
        plan = plan_clip(np.random.default_rng((20, number)), ProceduralTextures(), options)
        _write_sequence(folder / "sequences" / name, plan)
    atomic_write_text(folder / "sequences" / "list.txt", "".join(f"{name}\n" for name in names))
    low, high = options.length // 4, options.length - 2
    atomic_write_text(folder / "stack.yaml", json.dumps(_stack(low, high), indent=1) + "\n")
    config = {"stack": "stack.yaml", "registry": ["./trackers.ini"]}
    atomic_write_text(folder / "config.yaml", json.dumps(config) + "\n")  # JSON is YAML


def encode_mask(mask: np.ndarray) -> str:
    """Write a mask as the toolkit's ground truth has it: m<x>,<y>,<w>,<h>,<run>,<run>...

    Args:
        mask: (H, W), non-zero on the target; runs are of its tight box, row by row, and begin with
            a run of zeros, which may be of length 0.

    Raises:
        EmptyMaskError: nothing in it.
    """
    x, y, w, h = (int(v) for v in tight_box(mask))
    pixels = (np.asarray(mask)[y : y + h, x : x + w] != 0).reshape(-1).astype(np.int8)
    starts = np.flatnonzero(np.diff(pixels, prepend=0))  # where runs after the first begin
    runs = np.diff(np.concatenate([[0], starts, [pixels.size]]))
    return "m" + ",".join(str(v) for v in (x, y, w, h, *runs.tolist()))


def _write_sequence(folder: Path, plan: ClipPlan) -> None:
    """Write frames, masks and anchors of a clip.

    Runs go forward from the first frame and the middle, backward from the last.
    """
    for t in range(len(plan)):
        frame = render(plan, [t]).frames[0]
        write_image(folder / "color" / f"{t + 1:08d}.jpg", frame, 95)
    # Nothing is in front of the target in these clips: it is all to be seen.
    area = Area(0, 0, plan.width, plan.height)
    masks = "".join(encode_mask(plan.target.solid(t, area)) + "\n" for t in range(len(plan)))
    anchors = {0: 1, len(plan) // 2: 1, len(plan) - 1: -1}
    atomic_write_text(folder / "groundtruth.txt", masks)
    text = "".join(f"{anchors.get(t, 0)}\n" for t in range(len(plan)))
    atomic_write_text(folder / "anchor.value", text)
    properties = (
        f"name={folder.name}\nfps=30\nformat=default\nchannels.color=color/%08d.jpg\n"
        f"width={plan.width}\nheight={plan.height}\nlength={len(plan)}\n"
    )
    atomic_write_text(folder / "sequence", properties)


def _stack(low: int, high: int) -> dict:
    """The stack's description; EAO is averaged over lengths from `low` to `high` frames."""
    eao = [
        {"type": "multistart_eao_score", "name": "eaoscore", "low": low, "high": high},
        {"type": "multistart_eao_curve", "name": "eaocurve", "high": high},
        # Threshold 0: lost only without any overlap, so that an untrained network has a score too.
        {"type": "multistart_average_ar", "name": "ar", "threshold": 0},
    ]
    accuracy = {"type": "average_accuracy", "name": "accuracy", "burnin": 1}
    return {
        "title": "Synthetic clips",
        "experiments": {
            "baseline": {"type": "multistart", "analyses": eao},
            "unsupervised": {"type": "unsupervised", "repetitions": 1, "analyses": [accuracy]},
        },
    }
