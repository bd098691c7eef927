"""Guards samples of real sequences, read as users' own videos: they show their targets."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from lib.train.data.batch import collate
from lib.train.data.processing import SearchConfig
from lib.train.data.random_boxes import Jitter
from lib.train.data.sampler import TrackingSampler
from lib.train.dataset import build_dataset
from tests.train.clips import found_at

SEQUENCES = Path(__file__).resolve().parents[4] / "shared" / "sequences"


@pytest.mark.skipif(not SEQUENCES.is_dir(), reason=f"no real sequences at {SEQUENCES}")
def test_real_sequences(tmp_path: Path) -> None:
    for folder in sorted(SEQUENCES.iterdir()):
        (tmp_path / folder.name).mkdir()
        (tmp_path / folder.name / "img").symlink_to(folder / "img")
        shutil.copy(folder / "groundtruth_rect.txt", tmp_path / folder.name / "groundtruth.txt")
    dataset = build_dataset("OWN_VIDEO", lambda setting: found_at(tmp_path))
    names = [dataset.sequence_name(i) for i in range(len(dataset))]
    assert names == ["Couple", "Crossing", "Football1"]
    assert dataset.lengths.tolist() == [140, 120, 74]
    config = SearchConfig(320, 5.0, Jitter(0, 0), Jitter(4.5, 0.5))
    sampler = TrackingSampler([dataset], [1], config, 200)
    for seed in range(10):
        sample = collate([sampler.draw(np.random.default_rng(seed))]).to("cpu")
        boxes = np.vstack([sample.reference_boxes[0], sample.search_box])
        centres = boxes[:, :2] + boxes[:, 2:] / 2
        assert ((centres > -0.1) & (centres < 1.1)).all()  # half of 4.5 / 5 is .45 from the middle
        assert sample.search.std() > 0.02 and not sample.search_mask.all()
