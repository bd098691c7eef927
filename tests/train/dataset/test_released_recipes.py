"""Guards that released recipes find their data sets and never validate on what they train on."""

import logging
from pathlib import Path

import numpy as np
import pytest
from layouts import write_coco, write_trackingnet

from lib.config.aiatrack import names
from lib.config.aiatrack.config import load_config
from lib.io.layouts import write_got10k, write_lasot
from lib.train.build import recipe_samplers
from lib.train.dataset import ALIASES, DATASETS, SYNTHETIC, splits
from tests.train.clips import make_clip

BASELINE = """
DATA:
  TRAIN:
    DATASETS_NAME: [LASOT, GOT10K_vot_train, COCO17, TRACKINGNET]
    DATASETS_RATIO: [1, 1, 1, 1]
    SAMPLE_PER_EPOCH: 60000
  VAL:
    DATASETS_NAME: [GOT10K_votval]
    DATASETS_RATIO: [1]
    SAMPLE_PER_EPOCH: 10000
"""
GOT_ONLY = """
DATA:
  TRAIN: {DATASETS_NAME: [GOT10K_train], DATASETS_RATIO: [1]}
  VAL: {DATASETS_NAME: [VALIDATION], DATASETS_RATIO: [1]}
"""
GOT_NAMES = [f"GOT-10k_Train_{number:06d}" for number in range(1, 7)]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small sets in all four layouts, and tables that name their sequences."""
    root, tables = tmp_path / "data", tmp_path / "tables"
    write_lasot(root / "LaSOT", [("cat-1", make_clip(24, 1)), ("cat-2", make_clip(24, 2))])
    write_got10k(root / "GOT10k", [(name, make_clip(24, 3)) for name in GOT_NAMES])
    write_coco(root / "COCO", {"cat": make_clip(4, 4)})
    for number in range(12):
        clip = {f"id{number}": make_clip(160, number)}
        write_trackingnet(root / "TrackingNet", clip, split=f"TRAIN_{number}")
    texts = {"lasot_train_split": "cat-1\ncat-2\n", "got10k_train_split": "0\n1\n2\n3\n4\n5\n"}
    texts["got10k_vot_train_split"] = "0\n1\n2\n3\n"
    tables.mkdir()
    for name, text in texts.items():
        (tables / f"{name}.txt").write_text(text)
    monkeypatch.setattr(splits, "SPECS", tables)
    monkeypatch.setenv("AIATRACK_DATA", str(root))
    return root


def recipe(folder: Path, text: str) -> Path:
    path = folder / "released.yaml"
    path.write_text(text)
    return path


def test_baseline_draws_from_all_four_layouts(data: Path, tmp_path: Path) -> None:
    train, val = recipe_samplers(load_config(recipe(tmp_path, BASELINE)))
    sources = [train.draw(np.random.default_rng(seed)).source for seed in range(40)]
    expected = {"LASOT", "GOT10K_vottrain", "COCO17", "TRACKINGNET"}
    assert {source.split()[0] for source in sources} == expected
    held_out = {val.draw(np.random.default_rng(seed)).source.split()[1] for seed in range(20)}
    assert held_out == set(GOT_NAMES[4:])


def test_what_is_trained_on_is_left_out_of_validation(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    overlapping = recipe(tmp_path, GOT_ONLY.replace("VALIDATION", "GOT10K_votval"))
    train, val = recipe_samplers(load_config(overlapping))
    assert val is None
    assert train.draw(np.random.default_rng(0)).source.startswith("GOT10K_train_full")
    assert "2 of 2 sequences are trained on" in caplog.text
    assert "no validation: all sequences" in caplog.text
    (splits.SPECS / "got10k_vot_train_split.txt").write_text("1\n2\n")
    partly = BASELINE.replace("[GOT10K_votval]", "[GOT10K_train]")
    _, val = recipe_samplers(load_config(recipe(tmp_path, partly)))
    held_out = {val.draw(np.random.default_rng(seed)).source.split()[1] for seed in range(40)}
    assert held_out == {GOT_NAMES[i] for i in (0, 3, 4, 5)}


def test_got10k_validates_on_its_official_split(data: Path, tmp_path: Path) -> None:
    write_got10k(data / "GOT10k", [("GOT-10k_Val_000001", make_clip(24, 9))], split="val")
    official = recipe(tmp_path, GOT_ONLY.replace("VALIDATION", "GOT10K_official_val"))
    _, val = recipe_samplers(load_config(official))
    assert "GOT-10k_Val_000001" in val.draw(np.random.default_rng(0)).source


def test_sequences_of_one_name_in_two_splits_are_not_the_same(data: Path, tmp_path: Path) -> None:
    """The demo clips of training and validation bear the same names in two folders."""
    clips = [("Demo_000001", make_clip(24, 5)), ("Demo_000002", make_clip(24, 6))]
    for split in ("train", "val"):
        write_got10k(data / "demo", clips, split=split)
    sets = GOT_ONLY.replace("GOT10K_train", "DEMO").replace("VALIDATION", "DEMO_VAL")
    _, val = recipe_samplers(load_config(recipe(tmp_path, sets)))
    drawn = {val.draw(np.random.default_rng(seed)).source.split()[1] for seed in range(20)}
    assert drawn == {"Demo_000001", "Demo_000002"}


def test_other_spellings_name_data_sets_there_are() -> None:
    assert set(ALIASES.values()) <= DATASETS.keys() | SYNTHETIC.keys() == set(names.DATASETS)
    assert not ALIASES.keys() & (DATASETS.keys() | SYNTHETIC.keys())
