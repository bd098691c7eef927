"""Fixtures that several test files share: golden numbers, seeded and tiny networks, real data."""

import json
import os
from pathlib import Path

# Before torch is imported, for it and for every process that a test starts: threads of so small a
# network wait for each other, on a busy machine many times as long as they compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from seeded import seeded_tensor

from lib.checkpoint.files import save_checkpoint
from lib.config.aiatrack.config import load_config, make_config
from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.build import build_aiatrack
from lib.models.aiatrack.weights import released_contents

FIXTURES = Path(__file__).parent / "fixtures"
SHARED = Path(__file__).resolve().parents[2] / "shared"

# A network of half a million parameters that has every part of the real one.
TINY = {
    "MODEL": {
        "HIDDEN_DIM": 32,
        "BACKBONE": {"TYPE": "test_resnet"},
        "TRANSFORMER": {"NHEADS": 2, "DIM_FEEDFORWARD": 64, "ENC_LAYERS": 2},
        "AIA": {"MATCH_DIM": 16, "FEAT_SIZE": 16},
    },
    "DATA": {"SEARCH": {"SIZE": 64}},
    "TEST": {"SEARCH_SIZE": 64},
}


@pytest.fixture(scope="session")
def golden() -> dict[str, np.ndarray]:
    """What the reference computes from seeded inputs; keys are explained beside its use."""
    with np.load(FIXTURES / "golden_seed18.npz") as file:
        return {key: file[key] for key in file.files}


@pytest.fixture(scope="session")
def released_names() -> dict[str, dict]:
    """Shape and dtype of every entry of the released state dict."""
    return json.loads((FIXTURES / "state_dict.json").read_text())


@pytest.fixture(scope="session")
def seeded_model(released_names: dict[str, dict]) -> AiATrack:
    """The baseline network with the weights that the golden numbers were computed with."""
    model = build_aiatrack(load_config("baseline"))
    tensors = {
        name: torch.from_numpy(seeded_tensor(name, tuple(entry["shape"]), 18))
        for name, entry in released_names.items()
    }
    model.load_state_dict(tensors)
    return model.eval()


@pytest.fixture(scope="session")
def seeded_checkpoint(seeded_model: AiATrack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seeded network as a file in the released format."""
    path = tmp_path_factory.mktemp("seeded") / "AIATRACK_ep0500.pth.tar"
    save_checkpoint(path, released_contents(seeded_model, 500))
    return path


@pytest.fixture
def tiny_model() -> AiATrack:
    """A small random network in evaluation mode, the same in every test."""
    torch.manual_seed(0)
    return build_aiatrack(make_config(TINY)).eval()


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe of `tiny_model` as a file."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(json.dumps(TINY))  # JSON is YAML
    return path


@pytest.fixture
def tiny_checkpoint(tiny_model: AiATrack, tmp_path: Path) -> Path:
    """The weights of `tiny_model` as a file in the released format."""
    path = tmp_path / "tiny.pth.tar"
    save_checkpoint(path, released_contents(tiny_model, 1))
    return path


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the project; tests that need it are skipped without it."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the real data in {SHARED}")
    return SHARED
