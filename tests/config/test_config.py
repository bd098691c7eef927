"""Guards recipes: defaults, published files, and every refusal with the key's full path."""

import logging
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml

from lib.config.aiatrack import config as config_module
from lib.config.aiatrack.config import (
    ConfigError,
    check_hyper,
    load_config,
    make_config,
    recipe_name,
)
from lib.utils.paths import PROJECT_ROOT

# The published recipe, every key of it, as it was released.
PUBLISHED = """
DATA:
  MAX_SAMPLE_INTERVAL: 200
  MEAN: [0.485, 0.456, 0.406]
  SEARCH: {CENTER_JITTER: 4.5, FACTOR: 5.0, SCALE_JITTER: 0.5, SIZE: 320}
  STD: [0.229, 0.224, 0.225]
  TEMPLATE: {CENTER_JITTER: 0, SCALE_JITTER: 0}
  TRAIN:
    DATASETS_NAME: [LASOT, GOT10K_vottrain, COCO17, TRACKINGNET]
    DATASETS_RATIO: [1, 1, 1, 1]
    SAMPLE_PER_EPOCH: 60000
MODEL:
  BACKBONE: {DILATION: false, OUTPUT_LAYERS: [layer3], TYPE: resnet50}
  HEAD_TYPE: CORNER
  HIDDEN_DIM: 256
  NUM_OBJECT_QUERIES: 1
  POSITION_EMBEDDING: sine
  PREDICT_MASK: false
  TRANSFORMER: {DEC_LAYERS: 1, DIM_FEEDFORWARD: 1024, DIVIDE_NORM: false, DROPOUT: 0.1,
                ENC_LAYERS: 3, NHEADS: 4, PRE_NORM: false}
  AIA: {USE_AIA: true, MATCH_DIM: 64, FEAT_SIZE: 400}
TRAIN:
  BACKBONE_MULTIPLIER: 0.1
  BATCH_SIZE: 15
  DEEP_SUPERVISION: false
  EPOCH: 500
  FREEZE_BACKBONE_BN: true
  FREEZE_LAYERS: [conv1, layer1]
  GIOU_WEIGHT: 2.0
  GRAD_CLIP_NORM: 0.1
  IOU_WEIGHT: 2.0
  L1_WEIGHT: 5.0
  LR: 0.0001
  LR_DROP_EPOCH: 400
  NUM_WORKER: 16
  OPTIMIZER: ADAMW
  PRINT_INTERVAL: 50
  SCHEDULER: {TYPE: step, DECAY_RATE: 0.1}
  VAL_EPOCH_INTERVAL: 10
  WEIGHT_DECAY: 0.0001
TEST:
  EPOCH: 500
  SEARCH_FACTOR: 5.0
  SEARCH_SIZE: 320
  HYPER: {DEFAULT: [100, 3, 0.7], LASOT: [100, 4, 0.8], LASOT_EXT: [100, 6, 0.8],
          TRACKINGNET: [100, 6, 0.7], GOT10K_TEST: [80, 4, 0.7], NFS: [80, 3, 0.6],
          OTB: [100, 3, 0.7], UAV: [100, 3, 0.7]}
"""


def test_published_recipe_loads_and_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "published.yaml"
    path.write_text(PUBLISHED)
    assert load_config(path) == load_config("baseline") == make_config()


def test_baseline_got_differs_in_its_data_only() -> None:
    baseline, got = load_config("baseline"), load_config("baseline_got")
    assert got.DATA.TRAIN.DATASETS_NAME == ["GOT10K_train_full"]
    got.DATA.TRAIN, got.DATA.VAL = baseline.DATA.TRAIN, baseline.DATA.VAL
    assert got == baseline


def test_changes_do_not_reach_the_defaults() -> None:
    first = make_config()
    first.DATA.MEAN.append(1)
    first.TEST.HYPER.OTB = None
    assert len(make_config().DATA.MEAN) == 3 and make_config().TEST.HYPER.OTB == [100, 3, 0.7]


def nested(path: str, value: object) -> dict:
    """{"A": {"B": value}} from "A.B"."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


REFUSED = [
    # key, value, what the message says besides the key
    ("MODEL.HIDEN_DIM", 256, ["unknown key", "HIDDEN_DIM"]),
    ("MODLE", {}, ["unknown key", "MODEL, TRAIN, DATA, TEST"]),
    ("MODEL.TRANSFORMER.NHEAD", 8, ["unknown key", "MODEL.TRANSFORMER has: NHEADS"]),
    ("MODEL", 3, ["section", "3"]),
    ("MODEL.HIDDEN_DIM", "256", ["whole number", "'256'"]),
    ("MODEL.HIDDEN_DIM", 25.5, ["whole number", "25.5"]),
    ("MODEL.HIDDEN_DIM", True, ["whole number", "True"]),
    ("MODEL.HIDDEN_DIM", None, ["whole number", "None"]),
    ("MODEL.AIA.USE_AIA", 1, ["True or False", "1"]),
    ("TRAIN.LR", "fast", ["a finite number", "'fast'"]),
    ("TRAIN.LR", True, ["a finite number", "True"]),
    ("TRAIN.FREEZE_LAYERS", "conv1", ["a list", "'conv1'"]),
    ("MODEL.HIDDEN_DIM", 250, ["divisible by MODEL.TRANSFORMER.NHEADS (4)", "250"]),
    ("MODEL.HIDDEN_DIM", 252, ["divisible by 8", "252"]),
    ("MODEL.HIDDEN_DIM", -8, ["above 0", "-8"]),
    ("MODEL.AIA.MATCH_DIM", 66, ["divisible by 4", "66"]),
    ("MODEL.AIA.FEAT_SIZE", 324, ["400, that is (DATA.SEARCH.SIZE / 16)^2", "324"]),
    ("DATA.SEARCH.SIZE", 330, ["divisible by the stride 16", "330"]),
    ("TEST.SEARCH_SIZE", 256, ["equal to DATA.SEARCH.SIZE (320)", "256"]),
    ("MODEL.TRANSFORMER.DROPOUT", 1.0, ["in [0, 1)", "1.0"]),
    ("MODEL.HEAD_TYPE", "MLP", ["'CORNER'", "'MLP'"]),
    ("MODEL.TRANSFORMER.DEC_LAYERS", 2, ["must be 1", "2"]),
    ("MODEL.PREDICT_MASK", True, ["must be False", "True"]),
    ("TRAIN.LR", -1.0, ["above 0", "-1.0"]),
    ("DATA.MEAN", [0.5, 0.5], ["3 numbers", "[0.5, 0.5]"]),
    ("DATA.STD", [0.2, 0.0, 0.2], ["above 0", "0.0"]),
    ("DATA.TRAIN.DATASETS_RATIO", [1, 1], ["one number of 0 or more per entry", "(4)", "[1, 1]"]),
    ("DATA.TRAIN.DATASETS_NAME", [], ["one data set or more"]),
    ("TEST.HYPER.OTB", [100, 3], ["capacity, ensemble, threshold", "[100, 3]"]),
    ("TEST.HYPER.MINE", [1, 3, 0.7], ["at least 2", "[1, 3, 0.7]"]),
    ("TEST.HYPER.OTB", 5, ["must be a list, such as [100, 3, 0.7]", "5"]),
    ("TEST.HYPER.OTB", [100, 3, float("inf")], ["capacity, ensemble, threshold", "inf"]),
    ("TEST.HYPER.OTB", [float("inf"), 3, 0.7], ["capacity, ensemble, threshold", "inf"]),
    ("TEST.HYPER", {"items": [100, 3, 0.7]}, ["name in upper case", "items"]),
    ("TEST.HYPER", {1: [100, 3, 0.7]}, ["name in upper case", "1"]),
    ("TRAIN.LR", float("nan"), ["a finite number", "nan"]),
    ("TRAIN.LR", "inf", ["a finite number", "inf"]),
    ("TRAIN.LR", 10**400, ["a finite number", "..."]),
    ("TRAIN.EPOCH", 2**31, ["at most 2147483647", "2147483648"]),
    ("DATA.MEAN", [0.5, 0.5, float("inf")], ["3 numbers", "inf"]),
    ("DATA.TRAIN.DATASETS_RATIO", [1, 1, 1, float("nan")], ["one number of 0 or more", "nan"]),
    ("DATA.TRAIN.DATASETS_NAME", ["LASOT", "LASTO"], ["a list of LASOT, GOT10K_vottrain", "LASTO"]),
    ("DATA.VAL.DATASETS_NAME", [["LASOT"]], ["a list of LASOT"]),
    ("MODEL.BACKBONE.TYPE", "resnet5", ["a timm model, such as", "resnet50", "'resnet5'"]),
    ("MODEL.BACKBONE.TYPE", "", ["a timm model, such as resnet18"]),
    ("TRAIN.FREEZE_LAYERS", ["layer9"], ["modules of resnet50: conv1", "['layer9']"]),
    ("TRAIN.FREEZE_LAYERS", [1], ["a list of names", "[1]"]),
    ("DATA.TEMPLATE", {"A" * 9000: 1}, ["unknown key", " ..."]),
    ("MODEL.HEAD_TYPE", "x" * 10**6, ["'CORNER'", "..."]),
]


@pytest.mark.parametrize(("key", "value", "says"), REFUSED, ids=[f"{c[0]}={c[1]}" for c in REFUSED])
def test_refused_with_key_value_and_what_is_allowed(key: str, value: object, says: list) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(nested(key, value))
    for text in [key, *says]:
        assert text in str(caught.value)
    assert len(str(caught.value)) < 600


def test_file_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("MODEL: {HIDDEN_DIM: wide}")
    with pytest.raises(ConfigError, match=r"mine\.yaml: MODEL\.HIDDEN_DIM"):
        load_config(path)
    path.write_text("MODEL: [")
    with pytest.raises(ConfigError, match=r"mine\.yaml: not valid YAML"):
        load_config(path)
    path.write_text("- 1")
    with pytest.raises(ConfigError, match=r"mine\.yaml: a recipe is a mapping"):
        load_config(path)
    with pytest.raises(FileNotFoundError, match=r"there are: .*baseline, baseline_got"):
        load_config("basline")
    with pytest.raises(FileNotFoundError, match=r"no recipe at .*none\.yaml"):
        load_config(tmp_path / "none.yaml")


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefgh")
)
STRANGE = {  # of 323 bytes and of 58 MB once expanded, and other texts that no recipe holds
    LAUGHS: "has more than 10000 values, its anchors expanded",
    "TRAIN: &a {LR: *a}": r"TRAIN.LR is a part of itself",
    "TRAIN: &a [[*a]]": r"TRAIN\[0\]\[0\] is a part of itself",
    "TRAIN: " + "[" * 20 + "]" * 20: "nested more than 12 levels deep",
    "[" * 5000: "nested too deeply",
    "TRAIN: {LR: 1.0, EPOCH: 2, LR: 2.0}": "LR is given twice in TRAIN, lines 1 and 1",
    "TRAIN: {LR: 1.0}\nTRAIN: {EPOCH: 2}": "TRAIN is given twice in the top level, lines 1 and 2",
    "TEST: {HYPER: {ON: [9, 2, 0.5]}}": r"in TEST.HYPER, line 1: a key must be text; given: ON",
    "TEST: {HYPER: {? [a] : 1}}": "a key must be text; given: a sequence",
    "1: 2": "in the top level, line 1: a key must be text; given: 1",
    "TRAIN: {LR: !!int x}": "not valid YAML",
    "TRAIN: {LR: 2020-13-45}": "not valid YAML",
    "TRAIN: {LR: !!python/object/apply:os.abort []}": "not valid YAML: could not determine",
    "TRAIN: {LR: 1}\n---\nTRAIN: {}": "not valid YAML: expected a single document",
    "A: \0": "not valid YAML",
}


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_strange_files_are_told_in_one_short_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "strange.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=STRANGE[text]) as caught:
        load_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    assert len(message) < len(str(path)) + 200


def test_large_and_binary_files_are_no_recipes(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text("#" * (2**20 + 1))
    with pytest.raises(ConfigError, match="1048577 bytes; a recipe has 1048576 at most"):
        load_config(path)
    path.write_bytes(bytes(range(256)))
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(path)


def test_anchors_and_merged_sections_are_read(tmp_path: Path) -> None:
    path = tmp_path / "anchors.YAML"
    path.write_text("DATA:\n  TEMPLATE: &j {CENTER_JITTER: 1}\n  SEARCH: {<<: *j, SCALE_JITTER: 2}")
    search = load_config(path).DATA.SEARCH
    assert (search.CENTER_JITTER, search.SCALE_JITTER) == (1, 2)


def test_numbers_that_yaml_reads_otherwise() -> None:
    assert yaml.safe_load("1e-4") == "1e-4"  # why the next line needs care
    assert make_config(nested("TRAIN.LR", "1e-4")).TRAIN.LR == 1e-4
    assert make_config(nested("TRAIN.GRAD_CLIP_NORM", 1)).TRAIN.GRAD_CLIP_NORM == 1.0


def test_other_benchmarks_may_have_hyper_parameters() -> None:
    assert make_config(nested("TEST.HYPER.MINE", [9, 2, -1])).TEST.HYPER.MINE == [9, 2, -1]
    assert check_hyper((9, 2, -1), "hyper") == (9, 2, -1.0)
    assert check_hyper(np.array([9.0, 2.0, 0.5]), "hyper") == (9, 2, 0.5)  # whole floats are whole


BAD_HYPER = [
    (9.5, 2, 0.7),
    (1, 2, 0.7),
    (9, 0, 0.7),
    (9, 2, float("nan")),
    (9, 2, "0.7"),
    (9, True, 0),
    (2**31, 1, 0),
    (float("inf"), 1, 0),
    (9, 10**400, 0),
    (9, 1, 10**400),
]


@pytest.mark.parametrize("hyper", BAD_HYPER, ids=str)
def test_hyper_parameters_that_cannot_be(hyper: tuple) -> None:
    with pytest.raises(ConfigError, match=r"hyper must be \[capacity, ensemble, threshold\]"):
        check_hyper(hyper, "hyper")


def test_a_key_without_effect_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    config_module._warn_no_effect.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            make_config(nested("MODEL.NUM_OBJECT_QUERIES", 5))
    assert [r.message for r in caplog.records] == [
        "MODEL.NUM_OBJECT_QUERIES has no effect: nothing in AiATrack reads it"
    ]


@pytest.mark.parametrize("config", ["mine.v2", "folder/mine.v2.yaml", Path("a.b/mine.v2.yml")])
def test_a_dot_in_a_name_is_no_suffix(config: str | Path) -> None:
    assert recipe_name(config) == "mine.v2"


def test_a_recipe_over_another(tmp_path: Path) -> None:
    below = tmp_path / "below.yaml"
    below.write_text("TRAIN: {LR: 0.5, EPOCH: 7}\nTEST: {HYPER: {OWN: [2, 1, 0.5]}}\n")
    above = tmp_path / "above.yaml"
    above.write_text(f"BASE: {below}\nTRAIN: {{EPOCH: 9}}\n")
    cfg = load_config(above)
    assert (cfg.TRAIN.LR, cfg.TRAIN.EPOCH, cfg.TEST.HYPER.OWN) == (0.5, 9, [2, 1, 0.5])
    for base, message in (
        ("[1]", "BASE must be a recipe's name; given: [1]"),
        (str(above), "BASE must be another recipe; given: "),
        ("no_such", "no recipe 'no_such'"),
    ):
        above.write_text(f"BASE: {base}\n")
        with pytest.raises((ConfigError, FileNotFoundError), match=re.escape(message)):
            load_config(above)


def test_a_recipe_over_one_of_the_same_name(tmp_path: Path) -> None:
    mine = tmp_path / "demo.yaml"
    mine.write_text("BASE: demo\nTRAIN: {EPOCH: 9}\n")
    cfg = load_config(mine)
    assert cfg.TRAIN.EPOCH == 9 and cfg.MODEL == load_config("demo").MODEL


def test_fine_tuning_starts_from_what_is_shipped() -> None:
    cfg = load_config("finetune")
    assert cfg.MODEL == load_config("demo").MODEL
    assert (PROJECT_ROOT / cfg.TRAIN.INIT_FROM).is_file()
