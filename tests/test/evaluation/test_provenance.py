"""Guards provenance: results become stale when what can move a box changes, and only then."""

import shutil
from pathlib import Path

import cv2
import pytest
from seeded import seeded_frame

from lib.test.evaluation.provenance import code_files, digest, make_provenance
from lib.test.tracker.options import TrackerOptions
from lib.utils.paths import PROJECT_ROOT

FP32, INT8 = TrackerOptions(), TrackerOptions(precision="int8")
CHANGES = [  # file, whether results in fp32 and in int8 become stale
    ("lib/synthetic/procedural.py", False, True),
    ("lib/io/video_file.py", False, False),
    ("lib/io/video/draw.py", False, False),
    ("lib/test/analysis/metrics.py", False, False),
    ("lib/models/aiatrack/attention.py", True, True),
    ("lib/utils/crop.py", True, True),
    ("lib/test/tracker/memory.py", True, True),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code."""
    root = tmp_path_factory.mktemp("tree")
    shutil.copytree(PROJECT_ROOT / "lib", root / "lib", ignore=shutil.ignore_patterns("*.pyc"))
    return root


@pytest.mark.parametrize(("file", "fp32", "int8"), CHANGES)
def test_code_that_can_move_a_box(tree: Path, file: str, fp32: bool, int8: bool) -> None:
    before = [digest(code_files(options, tree)) for options in (FP32, INT8)]
    with open(tree / file, "a") as code:
        code.write("# changed\n")
    after = [digest(code_files(options, tree)) for options in (FP32, INT8)]
    assert [a != b for a, b in zip(after, before, strict=True)] == [fp32, int8]


def test_calibration_images(tmp_path: Path, tiny_recipe: Path, tiny_checkpoint: Path) -> None:
    """A folder of images takes the place of synthetic ones: what is in it counts."""
    images = tmp_path / "images"
    images.mkdir()
    options = TrackerOptions(
        tiny_recipe, tiny_checkpoint, device="cpu", precision="int8", calibration=images
    )
    assert code_files(options) == code_files(FP32)
    digests = []
    for t in range(2):
        cv2.imwrite(str(images / "1.png"), seeded_frame(t))
        digests.append(make_provenance(options)["calibration"])
    assert digests[0] != digests[1]
