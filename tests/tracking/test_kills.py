"""Guards trainings and test runs killed at random moments: as if undisturbed, nothing left behind.

AIATRACK_TEST_KILLS=60 kills each of the two 60 times; the routine is a few.
"""

import os
from pathlib import Path

import cv2
import pytest
from seeded import seeded_box, seeded_frame

from lib.checkpoint.files import read_checkpoint
from lib.train.admin.settings import Settings
from lib.utils.files import LOCK_FILE
from lib.utils.paths import PROJECT_ROOT
from tests.killed import Killer, run_test, train_tiny
from tests.train.tiny import write_recipe

KILLS = int(os.environ.get("AIATRACK_TEST_KILLS", 6))
pytestmark = pytest.mark.slow


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> Killer:
    monkeypatch.setenv("PYTHONPATH", f"{PROJECT_ROOT}{os.pathsep}{PROJECT_ROOT / 'tests'}")
    return Killer(seed=11)


def files(folder: Path) -> list[str]:
    """All files below a folder; curves begin anew in each run."""
    found = (str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in found if "tensorboard" not in name)


def test_trainings(killer: Killer, tmp_path: Path) -> None:
    straight, recipe = tmp_path / "straight", write_recipe(tmp_path, EPOCH=6)
    killer.seconds(train_tiny, straight, recipe)
    expected = {p.name: read_checkpoint(p) for p in checkpoints(straight)}
    assert sorted(expected) == [f"AIATRACK_ep{epoch:04d}.pth.tar" for epoch in (4, 5, 6)]
    rounds = killer.rounds(KILLS, tmp_path, train_tiny, lambda folder: (folder, recipe))
    for folder, how in rounds:
        assert files(folder) == files(straight), how
        last = read_checkpoint(max(checkpoints(folder)))
        assert same(last, expected["AIATRACK_ep0006.pth.tar"]), how


def checkpoints(folder: Path) -> list[Path]:
    return list(Settings(config="tiny", save_dir=folder).checkpoint_folder.glob("*.tar"))


def same(a: object, b: object) -> bool:
    """Whether two contents are equal, tensors to the bit."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return a.equal(b) if hasattr(a, "equal") else a == b


def test_runs_of_a_tracker(
    killer: Killer, tiny_recipe: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    for name in "abcdefgh":
        (own / name).mkdir(parents=True)
        for t in range(6):
            cv2.imwrite(str(own / name / f"{t + 1:04d}.jpg"), seeded_frame(t, 150, 160)[..., ::-1])
        rows = "".join(",".join(map(str, seeded_box(0))) + "\n" for _ in range(6))
        (own / name / "groundtruth.txt").write_text(rows)

    def arguments(folder: Path) -> tuple[list[str], dict[str, str]]:
        given = f"--dataset own --device cpu --param {tiny_recipe} --checkpoint {tiny_checkpoint}"
        return [*given.split(), "--results", str(folder)], {"AIATRACK_OWN_DIR": str(own)}

    def results(folder: Path) -> dict[str, bytes]:
        return {
            name: (folder / name).read_bytes()
            for name in files(folder)
            if not name.endswith(("_time.txt", "_run.json"))
        }

    killer.seconds(run_test, *arguments(tmp_path / "straight"))
    expected = results(tmp_path / "straight")
    assert len(expected) == 8 * 3 + 1 and any(LOCK_FILE in name for name in expected)
    for folder, how in killer.rounds(KILLS, tmp_path, run_test, arguments):
        assert files(folder) == files(tmp_path / "straight"), how
        assert results(folder) == expected, how
