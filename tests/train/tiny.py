"""A tiny recipe and samples made of rectangles, for tests of everything around the network."""

from pathlib import Path

import numpy as np
import torch
import yaml

from lib.train.data.batch import CompactSample

TINY = {
    "MODEL": {
        "HIDDEN_DIM": 16,
        "BACKBONE": {"TYPE": "test_resnet", "PRETRAINED": False},
        "TRANSFORMER": {"NHEADS": 2, "DIM_FEEDFORWARD": 16, "ENC_LAYERS": 1},
        "AIA": {"MATCH_DIM": 8, "FEAT_SIZE": 16},
    },
    "TRAIN": {
        "EPOCH": 2,
        "BATCH_SIZE": 2,
        "NUM_WORKER": 0,
        "FREEZE_LAYERS": [],
        "FREEZE_BACKBONE_BN": False,
        "BACKBONE_MULTIPLIER": 1.0,
        "VAL_EPOCH_INTERVAL": 1,
        "PRINT_INTERVAL": 2,
    },
    "DATA": {
        "TRAIN": {"DATASETS_NAME": ["DEMO"], "DATASETS_RATIO": [1], "SAMPLE_PER_EPOCH": 8},
        "VAL": {"DATASETS_NAME": ["DEMO"], "DATASETS_RATIO": [1], "SAMPLE_PER_EPOCH": 4},
        "SEARCH": {"SIZE": 64},
    },
    "TEST": {"SEARCH_SIZE": 64},
}

NO_DROPOUT = {**TINY["MODEL"]["TRANSFORMER"], "DROPOUT": 0.0}


class Rectangles:
    """Draws samples of a bright rectangle on noise."""

    def draw(self, generator: np.random.Generator) -> CompactSample:
        """Draw three 64x64 crops with exact boxes and 16 proposals."""
        frames = [self._frame(generator) for _ in range(3)]
        crops, boxes = (torch.stack(part) for part in zip(*frames, strict=True))
        noise = generator.normal(0, 0.05, (16, 4))
        return CompactSample(
            crops=crops,
            scales=torch.full((3,), 1 / 255),
            masks=torch.zeros(3, 64, 64, dtype=torch.bool),
            boxes=boxes,
            recent_boxes=boxes,
            proposals=boxes[2] + torch.from_numpy(noise).float(),
            proposal_iou=torch.from_numpy(generator.uniform(-1, 1, 16)).float(),
            source="rectangle",
        )

    def _frame(self, generator: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        x, y, w, h = generator.integers([4, 4, 12, 12], [28, 28, 30, 30])
        image = generator.integers(0, 77, (64, 64, 3), np.uint8)
        image[y : y + h, x : x + w] += 153
        return torch.from_numpy(image), torch.tensor([x, y, w, h]).float() / 64


def tiny_samplers(cfg: object) -> tuple[Rectangles, Rectangles]:
    """Samplers of training and validation samples."""
    return Rectangles(), Rectangles()


def write_recipe(folder: Path, section: str = "TRAIN", /, **values: object) -> Path:
    """Write the tiny recipe, with other values in one section, as tiny.yaml."""
    recipe = {**TINY, section: {**TINY[section], **values}}
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path
