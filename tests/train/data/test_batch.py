"""Packed samples: what is unpacked is what would have been computed crop by crop."""

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from lib.train.data.batch import CompactSample, Sample

SIZE = 8


def _packed(seed: int) -> CompactSample:
    generator = np.random.default_rng(seed)
    return CompactSample(
        crops=torch.from_numpy(generator.integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)),
        scales=torch.from_numpy(generator.uniform(0.8, 1.2, 3).astype(np.float32) / 255),
        masks=torch.from_numpy(generator.random((3, SIZE, SIZE)) < 0.3),
        boxes=torch.from_numpy(generator.random((3, 4)).astype(np.float32)),
        proposals=torch.from_numpy(generator.random((16, 4)).astype(np.float32)),
        proposal_iou=torch.from_numpy(generator.random(16).astype(np.float32)),
        source=f"made {seed}",
        rejected=seed,
        broken="",
    )


def _image(packed: CompactSample, frame: int) -> torch.Tensor:
    """A crop as floats, in NumPy's arithmetic."""
    pixels = packed.crops[frame].numpy().transpose(2, 0, 1)
    return torch.from_numpy(np.minimum(pixels * packed.scales[frame].numpy(), np.float32(1)))


def test_frames_are_named_and_unpacked_to_the_bit() -> None:
    packed = _packed(1)
    sample = packed.unpack()
    assert sample.search.dtype == torch.float32 and sample.search.max() <= 1
    assert torch.equal(sample.search, _image(packed, 2))
    assert torch.equal(sample.references, torch.stack([_image(packed, 0), _image(packed, 1)]))
    assert torch.equal(sample.search_mask, packed.masks[2])
    assert torch.equal(sample.reference_masks, packed.masks[:2])
    assert torch.equal(sample.search_box, packed.boxes[2])
    assert torch.equal(sample.reference_boxes, packed.boxes[:2])
    assert (sample.source, sample.rejected, sample.broken) == ("made 1", 1, "")
    assert packed.crops.dtype == torch.uint8  # left as it was


def test_brighter_than_white_is_cut() -> None:
    packed = _packed(1)._replace(crops=torch.full((3, SIZE, SIZE, 3), 255, dtype=torch.uint8))
    search = packed._replace(scales=torch.tensor([0.5, 0.5, 1.2]) / 255).unpack().search
    assert (search == 1).all()


def test_a_batch_is_unpacked_as_its_samples() -> None:
    singles = [_packed(seed) for seed in range(3)]
    batch = default_collate(singles).to("cpu")
    assert isinstance(batch, Sample) and batch.search.is_contiguous()
    assert batch.references.is_contiguous()
    expected = default_collate([single.unpack() for single in singles])
    for name, value in expected._asdict().items():
        got = getattr(batch, name)
        assert torch.equal(got, value) if isinstance(value, torch.Tensor) else got == value, name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_unpacking_on_a_gpu_gives_the_same_bits() -> None:
    packed = _packed(2)
    assert torch.equal(packed.to("cuda").search.cpu(), packed.unpack().search)
