"""A tracker in conversation with the VOT toolkit: regions in, regions out.

Source: the TraX protocol, by the module `trax` (vot-trax on PyPI, BSD), which is handed in. The
toolkit itself (vot-toolkit, GPL) is another process in an environment of its own, made by
`tracking/vot_setup.sh`; nothing here imports it.
"""

import importlib
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import numpy as np

from lib.test.tracker import BaseTracker
from lib.test.vot.regions import BOX_OF_MASK, filled_box, placed_mask
from lib.utils.image import read_rgb

REGIONS = ("rectangle", "mask")


class MaskRefiner(Protocol):
    """Turns the tracker's boxes into masks; the place for Alpha-Refine and its like."""

    def initialize(self, image: np.ndarray, mask: np.ndarray) -> None:
        """Start on a frame, (H, W, 3) uint8 RGB, and mask, (H, W) uint8, 1 on the target."""

    def refine(self, image: np.ndarray, box_xywh: list[float]) -> np.ndarray:
        """Return the target's mask, (H, W), non-zero on the target, from its box (image pixels)."""


class Answers(NamedTuple):
    """What is answered, and how a mask becomes the box that the tracker starts from."""

    region: str = "rectangle"  # of REGIONS; the toolkit gives what its ground truth is
    box_of_mask: str = "tight"  # a key of BOX_OF_MASK
    refiner: MaskRefiner | None = None  # masks only; without one the box is filled


class VotSession:
    """One process of the toolkit's: any number of sequences, one network."""

    def __init__(self, tracker: BaseTracker, trax: ModuleType, answers: Answers) -> None:
        """trax: from `import_trax`. ValueError: unknown answers, or a refiner without masks."""
        for value, allowed in ((answers.region, REGIONS), (answers.box_of_mask, BOX_OF_MASK)):
            if value not in allowed:
                raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
        if answers.refiner is not None and answers.region != "mask":
            raise ValueError("a mask refiner needs region 'mask'; given: 'rectangle'")
        self.tracker, self.trax, self.answers = tracker, trax, answers

    def run(self) -> int:
        """Answer until the toolkit quits; return the number of frames answered.

        The toolkit is sent an exception's text as the reason of the end; it goes on to the caller.
        """
        frames = 0
        status, images = self.trax.TraxStatus, [self.trax.Image.PATH]
        with self.trax.Server(list(REGIONS), images, tracker_name="AiATrack") as server:
            while (request := server.wait()).type != status.QUIT:
                image = read_rgb(next(iter(request.image.values())).path())
                answer = self._start if request.type == status.INITIALIZE else self._track
                server.status([answer(image, request.objects or [])])
                frames += 1
        return frames

    def _start(self, image: np.ndarray, objects: list) -> tuple[Any, dict]:
        """Start on the one object of the request, and answer with its region."""
        if len(objects) != 1:
            raise ValueError(f"one target is tracked at a time; the toolkit gave {len(objects)}")
        region, _ = objects[0]
        box, mask = self._read(region, image)
        self.tracker.initialize(image, box.tolist())
        if self.answers.refiner is not None:
            self.answers.refiner.initialize(image, mask)
        return region, {"confidence": 1.0}

    def _track(self, image: np.ndarray, objects: list) -> tuple[Any, dict]:
        if objects:
            raise ValueError("targets cannot be added within a sequence")
        box, score = self.tracker.track(image)
        return self._region(image, box), {"confidence": score}

    def _read(self, region: Any, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Box (4,) xywh and mask (H, W) of a region, both in the image."""
        size = (image.shape[1], image.shape[0])
        if region.type == self.trax.Region.MASK:
            mask = placed_mask(region.array(), region.offset(), size)
            return BOX_OF_MASK[self.answers.box_of_mask](mask), mask
        if region.type == self.trax.Region.RECTANGLE:
            box = np.array(region.bounds(), np.float64)
        elif region.type == self.trax.Region.POLYGON:
            points = np.array(list(region), np.float64)  # (n, 2)
            box = np.concatenate([points.min(0), np.ptp(points, axis=0)])
        else:
            raise ValueError(f"cannot start on a region of type {region.type!r}")
        return box, filled_box(box, size)

    def _region(self, image: np.ndarray, box: list[float]) -> Any:
        if self.answers.region == "rectangle":
            return self.trax.Rectangle.create(*box)
        size = (image.shape[1], image.shape[0])
        if self.answers.refiner is None:
            return self.trax.Mask.create(filled_box(box, size))
        mask = np.asarray(self.answers.refiner.refine(image, box))
        shape = image.shape[:2]
        if mask.shape != shape:
            raise ValueError(f"the refiner's mask has shape {mask.shape}, the image {shape}")
        return self.trax.Mask.create(np.ascontiguousarray(mask != 0, np.uint8))


def import_trax() -> ModuleType:
    """Import the TraX module; RuntimeError where it is not installed or does not load."""
    try:
        return importlib.import_module("trax")
    except (ImportError, OSError) as error:
        raise RuntimeError(
            f"the VOT toolkit is answered through vot-trax, which cannot be imported ({error}); "
            "run `bash tracking/vot_setup.sh`, or `pip install vot-trax` in this environment"
        ) from error


def load_refiner(name: str) -> MaskRefiner:
    """Make the refiner that "package.module:factory" names, by calling factory().

    Raises:
        ValueError: not such a name, or what is made is no MaskRefiner.
        ImportError: no such module.
    """
    module, _, factory = name.partition(":")
    if not module or not factory:
        raise ValueError(f"a refiner is named package.module:factory; given: {name!r}")
    make = getattr(importlib.import_module(module), factory, None)
    if not callable(make):
        raise ValueError(f"module {module!r} has no factory {factory!r}")
    refiner = make()
    if not (hasattr(refiner, "initialize") and hasattr(refiner, "refine")):
        raise ValueError(f"{name} makes a {type(refiner).__name__}, without initialize and refine")
    return refiner
