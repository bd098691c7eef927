"""Guards tracking/measure_lost.py: from which score on a target is lost."""

from pathlib import Path

import numpy as np
import pytest

from lib.test.evaluation.results import ResultFolder, SequenceResult
from tests.programs import runner

measure = runner("measure_lost.py")


@pytest.fixture
def options(tmp_path: Path) -> list[str | Path]:
    """One sequence of one's own: followed for two frames with 0.8 and 0.7, missed with 0.4."""
    walk = tmp_path / "own" / "walk"
    walk.mkdir(parents=True)
    (walk / "groundtruth.txt").write_text("10,10,20,20\n" * 4)
    boxes = np.array([[10, 10, 20, 20]] * 3 + [[80, 80, 20, 20]])
    result = SequenceResult(boxes, np.array([1, 0.8, 0.7, 0.4]), np.zeros(4))
    ResultFolder(tmp_path / "all", "aiatrack", "mine", "own").save("walk", result, {})
    base = ["--dataset", "own", "--annotations", tmp_path / "own"]
    return [*base, "--results", tmp_path / "all", "--param", "mine"]


def test_best_threshold(options: list) -> None:
    status, out, errors = measure(*options)
    assert status == 0, errors
    assert out.startswith("3 frames, 1 of them lost; results of ")
    # 0.41 to 0.70 separate 0.4 from 0.7
    assert out.splitlines()[-1].split() == ["0.56", "1.000", "1.000", "1.000", "<-", "best"]


def test_refusals(options: list, tmp_path: Path) -> None:
    status, _, errors = measure(*options[:-1], "other")
    assert status == 1 and "no results of own in" in errors and "other" in errors
    status, out, errors = measure(*options[:-1], "mine.yaml")  # the recipe's file
    assert status == 0 and out.startswith("3 frames"), errors
    for path in (tmp_path / "all").rglob("walk_score.txt"):
        path.unlink()
    status, _, errors = measure(*options)
    assert status == 1 and "walk_score.txt" in errors
