"""Guards tracking/visualize_attention.py: pictures, videos, refusals."""

from pathlib import Path

import cv2
import pytest
from programs import Run, runner
from seeded import seeded_box, seeded_frame

from lib.io.video.writer import VideoWriter

INIT = ",".join(map(str, seeded_box(0)))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Six frames of a moving target."""
    with VideoWriter(tmp_path / "clip.mp4", 20) as writer:
        for t in range(6):
            writer.write(seeded_frame(t))
    return writer.path


@pytest.fixture
def run(tiny_recipe: Path, tiny_checkpoint: Path) -> Run:
    """Run the program with a tiny network."""
    start = runner("visualize_attention.py")
    recipe = ["--param", tiny_recipe, "--checkpoint", tiny_checkpoint, "--device", "cpu"]
    return lambda *arguments: start(*arguments, *recipe)


def test_picture(run: Run, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "a.png"
    status, text, err = run(clip, "--init", INIT, "--frame", "3", "--out", out, "--cell", "80,106")
    assert status == 0, err
    assert str(out) in text and [p.name for p in out.parent.iterdir()] == ["a.png"]
    picture = cv2.imread(str(out))
    # Five rows (self, long-term, three short-term), a window and two maps a head: wider than high.
    assert picture.shape[1] > picture.shape[0] > 900 and picture.std() > 20


def test_video(run: Run, tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "clip.mp4", 20) as writer:
        for t in range(4):
            writer.write(seeded_frame(t))
    whole, part = tmp_path / "whole.mp4", tmp_path / "part.mp4"
    common = (writer.path, "--init", INIT, "--hyper", "5,1,0.5", "--out")
    assert run(*common, whole, "--layer", "1")[0] == 0
    assert run(*common, part, "--frame", "1")[0] == 0
    video = cv2.VideoCapture(str(whole))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3  # all but the one with the given box
    assert video.get(cv2.CAP_PROP_FPS) == 20
    assert cv2.VideoCapture(str(part)).get(cv2.CAP_PROP_FRAME_COUNT) == 1


REFUSED = [
    (1, "{tmp}/none.mp4 --init 1,1,9,9 --frame 1", "no video"),
    (1, "{clip} --init {box} --frame 6", "{clip} ends before frame 6 (the first one is frame 0)"),
    (1, "{clip} --init {box} --frame 2 --cell 319,1", "frame 2: the point 319,1 lies outside"),
    (1, "{clip} --init {box} --out {tmp}/out/a.mp4 --cell 1,1", "frame 1: the point 1,1 lies out"),
    (1, "{clip} --init 999,1,9,9 --frame 2", "lies outside the 320 x 240 image"),
    (1, "{clip} --init {box} --frame 2 --layer 3", "the encoder has layers 1 to 2; given: 3"),
    (2, "{clip} --init {box} --frame 0", "--frame: must be 1 or more; given: 0"),
    (2, "{clip} --init {box}", "a PNG shows one frame: name it with --frame N"),
    (2, "{clip} --init {box} --frame 2 --cell 5", "a point is x,y in pixels, such as 230,190; giv"),
    (2, "{clip} --init {box} --frame 2 --out {tmp}/out/a.gif", "--out must end in .png or .mp4"),
    (2, "{clip} --frame 2", "--init"),
]


@pytest.mark.parametrize(("status", "arguments", "message"), REFUSED, ids=[c[1] for c in REFUSED])
def test_refusals(
    run: Run, clip: Path, tmp_path: Path, status: int, arguments: str, message: str
) -> None:
    places = {"tmp": tmp_path, "clip": clip, "box": INIT}
    given = [part.format(**places) for part in arguments.split()]
    if "--out" not in given:
        given += ["--out", str(tmp_path / "out" / "a.png")]
    found, _, err = run(*given)
    assert found == status and message.format(**places) in err
    assert not list(tmp_path.glob("out/*"))
