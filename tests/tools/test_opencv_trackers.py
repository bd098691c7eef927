"""Guards OpenCV's trackers behind our interface, and the program that runs them."""

from pathlib import Path

import numpy as np
import pytest

from lib.io.layouts import write_got10k
from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.plan import plan_clip
from lib.synthetic.procedural import ProceduralTextures
from lib.synthetic.render import render
from lib.test.analysis.metrics import intersection_over_union
from lib.tools.opencv_trackers import OpenCVTracker
from tests.programs import run_program

SLOW = ClipOptions(length=5, height=96, width=128, object_size=(0.3, 0.4), speed=(0.004, 0.01))


def slow_clip():
    return render(plan_clip(np.random.default_rng(1), ProceduralTextures(), SLOW))


def test_mil_stays_on_a_slow_target() -> None:
    clip, tracker = slow_clip(), OpenCVTracker("MIL")
    with pytest.raises(RuntimeError, match="call initialize"):
        tracker.track(clip.frames[0])
    tracker.initialize(clip.frames[0], {"init_bbox": clip.boxes_xywh[0]})
    outputs = [tracker.track(frame) for frame in clip.frames[1:]]
    boxes = np.array([output.box for output in outputs])
    assert intersection_over_union(boxes, clip.boxes_xywh[1:]).min() > 0.3
    assert {output.score for output in outputs} <= {0.0, 1.0}


def test_unknown_tracker_and_bad_box() -> None:
    with pytest.raises(ValueError, match=r"has no tracker 'Best' .* it has .*MIL"):
        OpenCVTracker("Best")
    with pytest.raises(ValueError, match="lies outside the 128 x 96 image"):
        OpenCVTracker("MIL").initialize(slow_clip().frames[0], [200, 10, 20, 20])


def test_program_writes_results_that_can_be_scored(tmp_path: Path, monkeypatch) -> None:
    write_got10k(tmp_path / "demo", [("one", slow_clip())], split="val")
    monkeypatch.setenv("AIATRACK_DEMO_DIR", str(tmp_path / "demo"))
    options = ("--dataset", "demo", "--trackers", "MIL", "--results", tmp_path / "results")
    done = run_program("opencv_trackers.py", *options)
    assert done.returncode == 0, done.stderr
    boxes = tmp_path / "results" / "opencv" / "MIL" / "demo" / "one.txt"
    assert len(boxes.read_text().splitlines()) == 5 and "FPS" in done.stdout
