"""Guards tracking/check_setup.py, and each thing that it looks at."""

import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from seeded import seeded_frame

from lib.checkpoint.files import save_checkpoint, save_weights
from lib.checkpoint.names import EPOCH_FILE
from lib.config.aiatrack.config import load_config
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.weights import released_contents
from lib.test.evaluation.base_set import read_names
from lib.test.evaluation.environment import FOLDERS
from lib.test.tracker.aiatrack import AiATrackTracker
from lib.tools.setup import machine, self_test
from lib.tools.setup.data import check_test_set
from lib.tools.setup.self_test import DATA, run_self_test, track_clip
from lib.tools.setup.weights import check_checkpoint, check_checkpoints

PROGRAM = Path(__file__).resolve().parents[2] / "tracking" / "check_setup.py"
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def nothing_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data set of this machine is looked at."""
    for setting, _ in FOLDERS.values():
        monkeypatch.delenv(f"AIATRACK_{setting.upper()}_DIR", raising=False)
    monkeypatch.setenv("AIATRACK_DATA", str(tmp_path / "data"))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Callable:
    """Run the program in this process: exit status and the page with errors."""

    def start(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [str(PROGRAM), *arguments])
        monkeypatch.setattr(sys, "path", list(sys.path))
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(PROGRAM), run_name="__main__")
        return end.value.code, "".join(capfd.readouterr())

    return start


def own_sequence(root: Path, name: str, frames: int = 3, boxes: int = 3) -> Path:
    """An own test sequence."""
    folder = root / name
    folder.mkdir(parents=True)
    for t in range(frames):
        cv2.imwrite(str(folder / f"{t}.jpg"), seeded_frame(t)[..., ::-1])
    (folder / "groundtruth.txt").write_text("1,2,30,40\n" * boxes)
    return folder


def test_page(run: Callable, tmp_path: Path) -> None:
    own_sequence(tmp_path / "data" / "own", "a")
    status, page = run("--all")
    assert status == 0, page
    assert f"torch {torch.__version__.split('+')[0]}" in page
    assert "px from the stored boxes (allowed: 0.05)" in page
    assert f"not there: {tmp_path}/data/OTB100 (from AIATRACK_DATA in the environment)" in page
    assert "-> export AIATRACK_OTB_DIR=/path/to/OTB100" in page
    assert "1 of 1 sequences, 3 frames; frames of 1 sequences decoded" in page
    assert "0 broken" in page


@pytest.mark.parametrize("need", ["otb", "LASOT", "own,got10k_val"])
def test_what_is_needed_and_not_there(run: Callable, need: str) -> None:
    status, page = run("--no-self-test", "--need", need)
    assert status == 1 and "FAIL" in page
    assert f"{need.count(',') + 1} broken" in page and "a clip with" not in page


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_gpu_needed(run: Callable) -> None:
    assert "FAIL  gpu" in run("--no-self-test", "--need", "gpu")[1]


def test_unknown_need(run: Callable) -> None:
    status, page = run("--need", "otb,otb99")
    assert status == 2 and "--need knows gpu, pooling" in page and "given: otb99" in page


def test_without_packages(tmp_path: Path) -> None:
    """Where torch is missing the page cannot be made; the command that fixes it is printed."""
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    code = (
        f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['x']; "
        f"runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "no torch here" in done.stderr and "-> bash install.sh" in done.stderr


def test_packages(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("numpy>=999.1\npytest>=1.0\nno-such-package>=1.5\n# words\n")
    python, good, old, missing = machine.check_software(requirements)
    assert python.level == "ok" and good.text.startswith("pytest ")
    assert (old.level, old.text) == ("FAIL", f"{np.__version__} is older than 999.1")
    assert missing.level == "note"
    assert missing.fix == "python -m pip install 'no-such-package>=1.5'"


def test_self_test_passes_here() -> None:
    worst, _ = run_self_test(CPU)
    # float32 differs from the stored float64 by 0.0002 px where this was written, TF32 by 0.1 px.
    assert worst < 0.01


def test_stored_boxes_are_those_of_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    class Double(AiATrackTracker):
        def __init__(self, model, params, device) -> None:
            super().__init__(model.double(), params, device)

        def _tensors(self, views):
            pixels, mask = super()._tensors(views)
            return pixels.double() / 255, mask

        def _tensor(self, array):
            return torch.from_numpy(array).double()

    monkeypatch.setattr(self_test, "AiATrackTracker", Double)
    stored = json.loads(DATA.read_text())
    boxes = track_clip(CPU, stored["seed"], stored["recipe"], 3)
    np.testing.assert_allclose(boxes, stored["boxes"][:3], atol=2e-4)  # they have 4 decimals


def test_self_test_shows_reduced_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights rounded to TF32's 10 bits of mantissa are noticed, and so is a NaN."""
    fill = self_test.fill

    def fill_rounded(model, seed: int) -> None:
        fill(model, seed)
        for tensor in model.parameters():
            bits = (tensor.data.view(torch.int32) + 0x1000) & ~0x1FFF
            tensor.data.copy_(bits.view(torch.float32))

    monkeypatch.setattr(self_test, "fill", fill_rounded)
    finding = machine.check_numerics(CPU)
    assert finding.level == "FAIL" and "this device computes something else" in finding.text
    assert "use --device cpu" in finding.fix

    monkeypatch.setattr(self_test, "track_clip", lambda *_: np.full((12, 4), np.nan))
    assert machine.check_numerics(CPU).level == "FAIL"


def test_self_test_that_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no kernel image is available\nand more")

    monkeypatch.setattr(machine, "run_self_test", broken)
    finding = machine.check_numerics(CPU)
    assert finding.level == "FAIL" and finding.text.endswith("no kernel image is available")


def test_half_extracted_set(tmp_path: Path) -> None:
    """Missing sequences, boxes that do not fit, and a frame cut short are all told."""
    root = tmp_path / "data" / "LaSOT"
    for name in read_names("lasot_test.txt")[:12]:
        folder = own_sequence(root / name.rsplit("-", 1)[0], name)
        (folder / "img").mkdir()
        for path in folder.glob("*.jpg"):
            path.rename(folder / "img" / path.name)
    first, second, *_ = read_names("lasot_test.txt")
    folder = root / first.rsplit("-", 1)[0]
    (folder / first / "groundtruth.txt").write_text("1,2,3,4\n" * 2)
    frame = folder / second / "img" / "1.jpg"
    frame.write_bytes(frame.read_bytes()[:300])

    finding = check_test_set("lasot")
    assert finding.level == "WARN" and "12 of 280 sequences, 36 frames" in finding.text
    assert f"270 problem(s): {first}: 2 boxes for 3 frames; no file" in finding.text
    assert finding.fix == f"unpack the data set again into {root}"
    assert check_test_set("lasot", needed=True).level == "FAIL"


def test_whole_set_sampled_and_full(tmp_path: Path) -> None:
    root = tmp_path / "data" / "own"
    for i in range(25):
        own_sequence(root, f"s{i:02}")
    (root / "s23" / "2.jpg").write_bytes(b"")  # the sample takes every second sequence
    finding = check_test_set("own")
    assert finding.level == "ok" and "25 of 25 sequences, 75 frames" in finding.text
    finding = check_test_set("own", full=True)
    assert finding.level == "WARN" and "1 problem(s): " in finding.text
    assert "s23/2.jpg: the file is empty" in finding.text


def test_problems_come_first_and_the_rest_is_folded(run: Callable, tmp_path: Path) -> None:
    own_sequence(tmp_path / "data" / "own_video", "b", frames=3, boxes=4)
    _, page = run("--no-self-test", "--full")
    problems, _, rest = page.partition("The rest (--all shows it)")
    assert "WARN  OWN_VIDEO" in problems and "not there: " not in problems
    assert "otb, nfs, uav" in rest and "python, packages" in rest and "OTB100" not in page
    _, everything = run("--no-self-test", "--full", "--all")
    assert (
        everything.index("WARN  OWN_VIDEO") < everything.index("Software")
        and "OTB100" in everything
    )


def test_training_set(run: Callable, tmp_path: Path) -> None:
    own_sequence(tmp_path / "data" / "own_video", "a", frames=20, boxes=20)
    assert (
        "there, not opened (--full or --need OWN_VIDEO does)" in run("--no-self-test", "--all")[1]
    )
    status, page = run("--no-self-test", "--all", "--need", "OWN_VIDEO")
    assert status == 0 and "1 sequences, 20 frames, a box each" in page, page
    own_sequence(tmp_path / "data" / "own_video", "b", frames=3, boxes=4)
    status, page = run("--no-self-test", "--all", "--need", "OWN_VIDEO")
    assert status == 1 and "b: 4 boxes in " in page and "but 3 frames in" in page
    status, page = run("--no-self-test", "--full")
    assert status == 0 and "WARN  OWN_VIDEO" in page


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('{"images": [7], "annotations": [null]}', "no objects in"),
        ('{"images": [{"id": [1]}], "annotations": [{}]}', "images[0].id: [1]"),
        ('{"images": {"id": 1}, "annotations": []}', "no list 'images'"),
        ("[" * 100_000, "not JSON"),
        ("\xff", "not JSON"),
    ],
)
def test_annotations_that_are_broken(
    run: Callable, tmp_path: Path, content: str, text: str
) -> None:
    folder = tmp_path / "data" / "own_images"
    (folder / "images").mkdir(parents=True)
    (folder / "annotations.json").write_text(content)
    status, page = run("--no-self-test", "--need", "OWN_IMAGES")
    assert status == 1 and "FAIL  OWN_IMAGES" in page and text in page
    assert "annotations.json" in page and "1 broken, 0 incomplete, " in page


def test_an_empty_setting_is_a_finding(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIATRACK_OTB_DIR", "")
    monkeypatch.setenv("AIATRACK_LASOT_DIR", " ")
    status, page = run("--no-self-test")
    assert status == 1
    for setting in ("OTB", "LASOT"):
        assert f"AIATRACK_{setting}_DIR in the environment is empty" in page
    assert page.count("is empty; give a folder") == 3  # LaSOT: to test and to train


def test_weights(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Weights in their place that fit, that do not, in a folder without recipe, and cut short."""
    root = tmp_path / "project"
    place = root / "checkpoints" / "train" / "aiatrack"
    assert {f.level for f in check_checkpoints(root=root)} == {"note"}
    assert {f.subject: f.level for f in check_checkpoints({"demo"}, root)}["demo"] == "FAIL"

    for folder in ("baseline", "mine"):
        (place / folder).mkdir(parents=True)
        target = place / folder / "AIATRACK_ep0500.pth.tar"
        target.write_bytes(tiny_checkpoint.read_bytes())
    found = {f.subject: f for f in check_checkpoints({"baseline"}, root)}
    assert found["baseline"].level == "FAIL" and "HIDDEN_DIM 32" in found["baseline"].text
    mine = found["AIATRACK_ep0500.pth.tar"]
    assert mine.level == "note" and "fits no recipe" in mine.text and "MATCH_DIM 16" in mine.text

    target.write_bytes(tiny_checkpoint.read_bytes()[:5000])
    assert check_checkpoint(target).level == "FAIL"
    assert "no checkpoint at" in check_checkpoint(tmp_path / "none.pth").text


def test_weights_that_fit(seeded_checkpoint: Path, seeded_model, tmp_path: Path) -> None:
    finding = check_checkpoint(seeded_checkpoint)
    assert finding.level == "ok" and "--param baseline or baseline_got; its digest" in finding.text
    folder = tmp_path / "checkpoints" / "train" / "aiatrack" / "baseline"
    save_checkpoint(folder / "AIATRACK_ep0500.pth.tar", released_contents(seeded_model, 500))
    found = {f.subject: f for f in check_checkpoints(root=tmp_path)}
    assert found["baseline"].level == "ok" and found["baseline"].text.endswith(
        "fits; its digest agrees"
    )


def test_shipped_weights_are_compared_with_their_digest(tmp_path: Path) -> None:
    """20 flipped bits, which leave every number finite and cost most of the accuracy."""
    path = tmp_path / "experiments" / "aiatrack" / "demo.safetensors"
    state = build_aiatrack(load_config("demo")).state_dict()
    save_weights(path, {name: value.half() for name, value in state.items()})
    demo = {f.subject: f for f in check_checkpoints(root=tmp_path)}["demo"]
    assert demo.level == "ok" and demo.text == f"{path} fits; its digest agrees"

    rng, whole = np.random.default_rng(0), path.read_bytes()
    data = np.frombuffer(whole, np.uint8).copy()
    data[rng.integers(len(data) // 2, len(data), 20)] ^= 1
    path.write_bytes(data.tobytes())
    demo = {f.subject: f for f in check_checkpoints(root=tmp_path)}["demo"]
    assert demo.level == "FAIL" and "its digest is of other contents" in demo.text
    assert demo.fix == f"git checkout -- {path}"

    save_file(load_file(path), path)
    demo = {f.subject: f for f in check_checkpoints(root=tmp_path)}["demo"]
    assert demo.level == "WARN" and demo.text.endswith("unverified: no digest in it")


def test_a_folder_in_the_place_of_weights_is_told(tmp_path: Path) -> None:
    """Nothing else is taken in its place."""
    epoch = load_config("demo").TEST.EPOCH
    place = tmp_path / "checkpoints" / "train" / "aiatrack" / "demo" / EPOCH_FILE.format(epoch)
    place.mkdir(parents=True)
    demo = {f.subject: f for f in check_checkpoints({"demo"}, tmp_path)}["demo"]
    assert demo.level == "FAIL" and f"{place}: Is a directory" in demo.text


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AIATRACK_RESULTS_DIR", str(tmp_path / "file" / "results"))
    results, demo, _ = machine.check_folders(tmp_path)
    assert results.level == "FAIL" and f"cannot write in {tmp_path}/file: " in results.text
    assert "export AIATRACK_RESULTS_DIR=/another/folder" in results.fix
    assert demo.level == "ok" and f"{tmp_path}/demo is writable" in demo.text
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_jpeg_and_pooling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "jpeg_decoder", lambda: "OpenCV")
    assert "apt-get install -y libturbojpeg0" in machine.check_jpeg().fix

    def not_built() -> None:
        raise RuntimeError("not built")

    monkeypatch.setattr(machine, "load_cuda_pooling", not_built)
    assert machine.check_pooling().level == "ok"
    needed = machine.check_pooling({"pooling"})
    assert (needed.level, needed.fix) == ("FAIL", "bash install.sh --cuda")
