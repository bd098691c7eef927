"""Guards the network against the reference, stage by stage, on seeded weights and frames.

The reference repeats itself to 1e-5 relative; 1e-4 leaves room for other kernels and versions.
"""

import numpy as np
import pytest
import torch
from seeded import seeded_box, seeded_frame
from torch import Tensor

from lib.models.aiatrack.aiatrack import AiATrack, Encoded
from lib.models.aiatrack.position_encoding import sine_position_encoding
from lib.models.aiatrack.references import concat_references
from lib.utils.crop import Crop

EVERY = 7  # the fixture keeps every 7th token


def assert_close(got: Tensor | np.ndarray, expected: np.ndarray, relative: float = 1e-4) -> None:
    """Compare relative to the largest expected value."""
    np.testing.assert_allclose(
        np.asarray(got), expected, rtol=0, atol=relative * abs(expected).max()
    )


def cut(frame: int, box: list) -> tuple[Tensor, Tensor]:
    """A crop as the network takes it."""
    image, mask = Crop.around(box, 5, 320).cut(seeded_frame(frame))
    return torch.from_numpy(image).permute(2, 0, 1)[None] / 255, torch.from_numpy(mask)[None]


INPUTS = {"ref": (0, seeded_box(0)), "search": (2, [20, 150, 40, 32])}


@pytest.fixture(scope="module")
def encoded(seeded_model: AiATrack) -> dict[str, Encoded]:
    with torch.inference_mode():
        return {name: seeded_model.encode(*cut(*where)) for name, where in INPUTS.items()}


@pytest.fixture(scope="module")
def features(seeded_model: AiATrack, encoded: dict, golden: dict) -> Tensor:
    """The decoder over [ref | ref, search, ref], the target always rows 8-11, columns 8-12."""
    row, row_end, column, column_end = golden["ref/region_rows_cols"] / 20
    box = torch.tensor([[column, row, column_end - column, row_end - row]])
    with torch.inference_mode():
        ref, search = (seeded_model.memorize(encoded[name], box) for name in INPUTS)
        return seeded_model.decode(encoded["search"], ref, concat_references([ref, search, ref]))


def test_state_dict_is_the_released_one(seeded_model: AiATrack, released_names: dict) -> None:
    state = seeded_model.state_dict()
    assert list(state) and set(state) == set(released_names)
    for name, entry in released_names.items():
        assert list(state[name].shape) == entry["shape"], name
        assert str(state[name].dtype) == f"torch.{entry['dtype']}", name
    assert sum(p.numel() for p in seeded_model.parameters()) == pytest.approx(17.95e6, rel=1e-3)


@pytest.mark.parametrize("name", INPUTS)
def test_bottleneck(seeded_model: AiATrack, golden: dict, name: str) -> None:
    image, _ = cut(*INPUTS[name])
    with torch.inference_mode():
        feature = seeded_model.backbone(seeded_model.normalisation(image))
        tokens = seeded_model.bottleneck(feature).flatten(2).transpose(1, 2)
    assert_close(tokens[0, ::EVERY], golden[f"{name}/feat"][:, 0])
    assert tokens.norm().item() == pytest.approx(golden[f"{name}/feat_norm"].item(), rel=1e-5)


@pytest.mark.parametrize("name", INPUTS)
def test_mask_and_position_encodings(golden: dict, name: str) -> None:
    cells = cut(*INPUTS[name])[1][:, ::16, ::16]
    np.testing.assert_array_equal(cells.flatten(1), golden[f"{name}/mask"])
    assert_close(sine_position_encoding(cells, 128)[0, ::EVERY], golden[f"{name}/pos"][:, 0], 1e-5)
    assert_close(sine_position_encoding(cells, 32)[0, ::EVERY], golden[f"{name}/inr"][:, 0], 1e-5)


@pytest.mark.parametrize("name", INPUTS)
def test_encoder(encoded: dict, golden: dict, name: str) -> None:
    assert_close(encoded[name].tokens[0, ::EVERY], golden[f"{name}/memory"][:, 0])


def test_first_encoder_layer(seeded_model: AiATrack, golden: dict) -> None:
    image, mask = cut(*INPUTS["search"])
    cells = mask[:, ::16, ::16]
    pos, inner_pos = sine_position_encoding(cells, 128), sine_position_encoding(cells, 32)
    with torch.inference_mode():
        feature = seeded_model.backbone(seeded_model.normalisation(image))
        tokens = seeded_model.bottleneck(feature).flatten(2).transpose(1, 2)
        memory = seeded_model.transformer.encoder.layers[0](tokens, pos, inner_pos)
    assert_close(memory[0, ::EVERY], golden["search/memory_layer0"][:, 0])


def test_decoder(features: Tensor, golden: dict) -> None:
    assert_close(features.flatten(2)[0].T[::EVERY], golden["decoder/out"][:, 0])


@torch.inference_mode()
def test_corner_head(seeded_model: AiATrack, features: Tensor, golden: dict) -> None:
    for corner in ("tl", "br"):
        score = seeded_model.box_head.score_map(features, corner)
        assert_close(score, golden[f"head/score_{corner}"][0])
    x1, y1, x2, y2 = seeded_model.box_head(features)[0][0].tolist()
    assert_close(np.array([x1, y1, x2 - x1, y2 - y1]), golden["head/boxes_xywh"][0])
    centre_size = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]
    assert_close(np.array(centre_size), golden["head/pred_boxes_cxcywh"][0, 0])


@torch.inference_mode()
def test_iou_head(seeded_model: AiATrack, features: Tensor, golden: dict) -> None:
    proposals = torch.from_numpy(golden["iou/proposals"])[None]
    assert_close(seeded_model.iou_head(features, proposals), golden["iou/pred"][0])
