"""Guards settings, running means and drawn batches."""

import math

import numpy as np
import pytest
import torch

from lib.train.admin.settings import Settings
from lib.train.admin.stats import Stats
from lib.train.admin.tensorboard import PREDICTED_COLOUR, TRUE_COLOUR, draw_batch
from lib.train.data.loader import build_loader
from tests.train.tiny import Rectangles


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1; given: 0"),
        ({"workers": -1}, "workers must be at least 0; given: -1"),
        ({"keep": 0}, "keep must be at least 1; given: 0"),
        ({"precision": "fp8"}, "precision must be one of off, bf16, fp16; given: 'fp8'"),
        ({"device": "tpu"}, "device must be one of auto, cpu, cuda; given: 'tpu'"),
    ],
)
def test_settings_refuse(given, message):
    with pytest.raises(ValueError, match=message):
        Settings(**given)


def test_settings_override_the_recipe(tmp_path):
    cfg = Settings(config="baseline", batch_size=3, epochs=7, workers=0, samples=90).recipe()
    assert (cfg.TRAIN.BATCH_SIZE, cfg.TRAIN.EPOCH, cfg.TRAIN.NUM_WORKER) == (3, 7, 0)
    assert cfg.DATA.TRAIN.SAMPLE_PER_EPOCH == 90
    assert Settings(config="baseline").recipe().TRAIN.BATCH_SIZE == 15


def test_folders_are_those_of_the_released_files(tmp_path):
    settings = Settings(config="some/where/mine.yaml", save_dir=tmp_path)
    assert settings.checkpoint_folder == tmp_path / "checkpoints/train/aiatrack/mine"


def test_means():
    cpu = torch.device("cpu")
    stats = Stats()
    assert stats.means(cpu) == {}
    stats.update({"a": 1.0, "b": 2.0}, 3)
    stats.update({"a": 5.0})
    assert stats.means(cpu) == {"a": 2, "b": 2}  # (3 * 1 + 5) / 4
    again = Stats(stats.sums)
    again.update({"a": 6.0}, 4)
    assert again.means(cpu) == {"a": 4, "b": 2} and stats.means(cpu)["a"] == 2


def test_drawn_batch_shows_true_and_predicted_boxes():
    loader = build_loader(Rectangles(), batch_size=2, workers=0, seed=0, epoch_length=2)
    batch = next(iter(loader)).to("cpu")
    batch.search_mask[0, :8] = True
    predicted = torch.tensor([[0.1, 0.2, 0.4, 0.5], [math.nan, 0.2, 9.0, 0.5]])
    image = draw_batch(batch, predicted)
    assert image.shape[1:] == (3 * 64, 3) and len(image) > 2 * 64  # a legend below each row
    assert image.dtype == np.uint8
    scored = draw_batch(batch, predicted, torch.tensor([0.25, math.nan]))
    assert scored.shape[1:] == image.shape[1:] and not np.array_equal(scored, image)
    top_left = image[round(0.2 * 64), 128 + round(0.1 * 64)]
    assert tuple(top_left) == PREDICTED_COLOUR
    x, y = (batch.reference_boxes[0, 0, :2] * 64).round().int().tolist()
    assert tuple(image[y, x]) == TRUE_COLOUR
