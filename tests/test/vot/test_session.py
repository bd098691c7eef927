"""Guards the conversation with the VOT toolkit, with a stand-in for the TraX module."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest

from lib.test.tracker import Output
from lib.test.vot.session import Answers, VotSession, import_trax, load_refiner

SIZE = (40, 30)  # width, height of the frames
ROOT = Path(__file__).resolve().parents[3]


class Region(SimpleNamespace):
    """A region with the methods of TraX's, whatever its type."""

    def bounds(self) -> tuple:
        return self.values

    def array(self) -> np.ndarray:
        return self.values

    def offset(self) -> tuple[int, int]:
        return self.at

    def __iter__(self):
        return iter(self.values)


class Toolkit:
    """The other side: gives requests one by one, keeps the answers."""

    def __init__(self, requests: list) -> None:
        self.requests, self.answers, self.reason, self.hello = list(requests), [], None, None
        constants = SimpleNamespace(INITIALIZE="initialize", FRAME="frame", QUIT="quit")
        self.trax = SimpleNamespace(
            Server=self._server,
            TraxStatus=constants,
            Image=SimpleNamespace(PATH="path"),
            Region=SimpleNamespace(MASK="mask", RECTANGLE="rectangle", POLYGON="polygon"),
            Rectangle=SimpleNamespace(create=lambda *box: ("rectangle", box)),
            Mask=SimpleNamespace(create=lambda mask: ("mask", mask)),
        )

    def _server(self, formats: list, images: list, **names: str) -> "Toolkit":
        self.hello = (formats, images)
        return self

    def __enter__(self) -> "Toolkit":
        return self

    def __exit__(self, kind: type | None, error: Exception | None, _: object) -> None:
        self.reason = error

    def wait(self) -> SimpleNamespace:
        return self.requests.pop(0) if self.requests else SimpleNamespace(type="quit")

    def status(self, objects: list) -> None:
        ((region, properties),) = objects
        self.answers.append((region, properties))


class Tracker:
    """Remembers how it was started; the target moves right by a pixel a frame."""

    def __init__(self) -> None:
        self.starts: list[list[float]] = []

    def initialize(self, image: np.ndarray, box: list[float]) -> None:
        assert image.shape == (30, 40, 3)
        self.starts.append(box)
        self.box = box

    def track(self, image: np.ndarray) -> Output:
        self.box = [self.box[0] + 1, *self.box[1:]]
        return Output(self.box, 0.75)


class Refiner:
    """Marks the middle pixel of the box."""

    def __init__(self) -> None:
        self.start: np.ndarray | None = None

    def initialize(self, image: np.ndarray, mask: np.ndarray) -> None:
        self.start = mask

    def refine(self, image: np.ndarray, box_xywh: list[float]) -> np.ndarray:
        x, y, w, h = box_xywh
        mask = np.zeros(image.shape[:2], bool)
        mask[int(y + h / 2), int(x + w / 2)] = True
        return mask


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    path = tmp_path / "1.png"
    assert cv2.imwrite(str(path), np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
    return path


def request(kind: str, frame: Path, *regions: Region) -> SimpleNamespace:
    image = SimpleNamespace(path=lambda: str(frame))
    objects = [(region, {}) for region in regions] or None
    return SimpleNamespace(type=kind, image={"color": image}, objects=objects)


RECTANGLE = Region(type="rectangle", values=(4.0, 5.0, 10.0, 6.0))
POLYGON = Region(type="polygon", values=[(4.0, 8.0), (9.0, 5.0), (14.0, 11.0)])
MASK = Region(type="mask", at=(4, 5), values=np.ones((6, 10), np.uint8))
LIMB = np.zeros((9, 20), np.uint8)
LIMB[:, :9], LIMB[4] = 1, 1


@pytest.mark.parametrize("given", [RECTANGLE, POLYGON, MASK], ids=lambda region: region.type)
def test_boxes_from_any_region(frame: Path, given: Region) -> None:
    toolkit = Toolkit([request("initialize", frame, given), *[request("frame", frame)] * 2])
    tracker = Tracker()
    assert VotSession(tracker, toolkit.trax, Answers()).run() == 3
    assert tracker.starts == [[4, 5, 10, 6]]
    assert toolkit.hello == (["rectangle", "mask"], ["path"])
    assert toolkit.answers == [
        (given, {"confidence": 1.0}),
        (("rectangle", (5, 5, 10, 6)), {"confidence": 0.75}),
        (("rectangle", (6, 5, 10, 6)), {"confidence": 0.75}),
    ]


def test_started_again_within_one_process(frame: Path) -> None:
    other = Region(type="rectangle", values=(1.0, 2.0, 3.0, 4.0))
    requests = [request("initialize", frame, RECTANGLE), request("frame", frame)]
    toolkit = Toolkit([*requests, request("initialize", frame, other), request("frame", frame)])
    tracker = Tracker()
    VotSession(tracker, toolkit.trax, Answers()).run()
    assert tracker.starts == [[4, 5, 10, 6], [1, 2, 3, 4]]
    assert toolkit.answers[-1][0] == ("rectangle", (2, 2, 3, 4))


@pytest.mark.parametrize(("way", "width"), [("tight", 20), ("fit", 9)])
def test_the_way_from_mask_to_box(frame: Path, way: str, width: int) -> None:
    given = Region(type="mask", at=(2, 3), values=LIMB)
    tracker = Tracker()
    toolkit = Toolkit([request("initialize", frame, given)])
    VotSession(tracker, toolkit.trax, Answers(box_of_mask=way)).run()
    assert tracker.starts == [[2, 3, width, 9]]


def test_masks_are_filled_boxes(frame: Path) -> None:
    toolkit = Toolkit([request("initialize", frame, MASK), request("frame", frame)])
    VotSession(Tracker(), toolkit.trax, Answers("mask")).run()
    kind, mask = toolkit.answers[1][0]
    expected = np.zeros((30, 40), np.uint8)
    expected[5:11, 5:15] = 1
    assert kind == "mask" and mask.dtype == np.uint8 and (mask == expected).all()


@pytest.mark.parametrize("given", [RECTANGLE, MASK], ids=lambda region: region.type)
def test_a_refiner_makes_the_masks(frame: Path, given: Region) -> None:
    toolkit = Toolkit([request("initialize", frame, given), request("frame", frame)])
    refiner = Refiner()
    VotSession(Tracker(), toolkit.trax, Answers("mask", refiner=refiner)).run()
    assert refiner.start.shape == (30, 40) and refiner.start.sum() == 60
    (_, mask), _ = toolkit.answers[1]
    assert mask.dtype == np.uint8 and np.argwhere(mask).tolist() == [[8, 10]]


class Narrow(Refiner):
    """A refiner whose masks are not of the image's size."""

    def refine(self, image: np.ndarray, box_xywh: list[float]) -> np.ndarray:
        return np.zeros((5, 5), bool)


REFUSED = {
    "two targets": ([("initialize", [RECTANGLE, MASK])], "one target .* the toolkit gave 2"),
    "no target": ([("initialize", [])], "the toolkit gave 0"),
    "a target later": ([("initialize", [MASK]), ("frame", [MASK])], "cannot be added"),
    "a special region": ([("initialize", [Region(type="special")])], "of type 'special'"),
    "an empty mask": (
        [("initialize", [Region(type="mask", at=(0, 0), values=np.zeros((3, 3), np.uint8))])],
        "the mask, 40 x 30, is empty",
    ),
    "a mask of another size": (
        [("initialize", [MASK]), ("frame", [])],
        r"mask has shape \(5, 5\), the image \(30, 40\)",
    ),
}


@pytest.mark.parametrize(("requests", "message"), REFUSED.values(), ids=REFUSED)
def test_refusals_are_told_to_the_toolkit(frame: Path, requests: list, message: str) -> None:
    toolkit = Toolkit([request(kind, frame, *regions) for kind, regions in requests])
    answers = Answers("mask", refiner=Narrow())
    with pytest.raises(ValueError, match=message) as error:
        VotSession(Tracker(), toolkit.trax, answers).run()
    assert toolkit.reason is error.value and len(toolkit.answers) == len(requests) - 1


def test_an_unreadable_frame_is_named(frame: Path) -> None:
    toolkit = Toolkit([request("initialize", frame.with_name("none.jpg"), RECTANGLE)])
    with pytest.raises(FileNotFoundError, match=r"none\.jpg"):
        VotSession(Tracker(), toolkit.trax, Answers()).run()


def test_wrong_choices() -> None:
    trax = Toolkit([]).trax
    with pytest.raises(ValueError, match="'polygon' is not one of rectangle, mask"):
        VotSession(Tracker(), trax, Answers("polygon"))
    with pytest.raises(ValueError, match="'loose' is not one of tight, fit"):
        VotSession(Tracker(), trax, Answers("mask", "loose"))
    with pytest.raises(ValueError, match="a mask refiner needs region 'mask'"):
        VotSession(Tracker(), trax, Answers(refiner=Refiner()))


def test_trax_that_is_missing_or_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trax", None)
    with pytest.raises(RuntimeError, match=r"vot-trax, .*`bash tracking/vot_setup\.sh`"):
        import_trax()
    module = ModuleType("trax")
    monkeypatch.setitem(sys.modules, "trax", module)
    assert import_trax() is module


def test_refiners_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("made_up_refiner")
    module.make, module.nothing, module.number = Refiner, dict, 3
    monkeypatch.setitem(sys.modules, "made_up_refiner", module)
    assert isinstance(load_refiner("made_up_refiner:make"), Refiner)
    for name, message in (
        ("made_up_refiner", r"named package\.module:factory; given: 'made_up_refiner'"),
        ("made_up_refiner:other", "has no factory 'other'"),
        ("made_up_refiner:number", "has no factory 'number'"),
        ("made_up_refiner:nothing", "makes a dict, without initialize and refine"),
    ):
        with pytest.raises(ValueError, match=message):
            load_refiner(name)


@pytest.mark.slow
def test_nothing_of_the_toolkit_is_imported() -> None:
    """Neither the GPL toolkit nor vot-trax comes with lib or the program's own imports."""
    program = (
        "import sys, lib.test.vot.session, lib.test.vot.workspace, lib.test.vot.regions; "
        "sys.exit(any(m.split('.')[0] in ('vot', 'trax') for m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert done.returncode == 0
    for path in [*ROOT.glob("lib/**/*.py"), *ROOT.glob("tracking/*.py")]:
        text = path.read_text(encoding="utf-8")
        assert "import vot\n" not in text and "from vot" not in text, path
