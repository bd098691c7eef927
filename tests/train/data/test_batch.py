"""Guards compact batches: unpacked they are what would have been computed crop by crop."""

import numpy as np
import pytest
import torch

from lib.train.data.batch import Batch, CompactBatch, CompactSample, collate

SIZE = 8


def _compact(seed: int) -> CompactSample:
    generator = np.random.default_rng(seed)
    return CompactSample(
        crops=torch.from_numpy(generator.integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)),
        scales=torch.from_numpy(generator.uniform(0.8, 1.2, 3).astype(np.float32) / 255),
        masks=torch.from_numpy(generator.random((3, SIZE, SIZE)) < 0.3),
        boxes=torch.from_numpy(generator.random((3, 4)).astype(np.float32)),
        recent_boxes=torch.from_numpy(generator.random((3, 4)).astype(np.float32)),
        proposals=torch.from_numpy(generator.random((16, 4)).astype(np.float32)),
        proposal_iou=torch.from_numpy(generator.random(16).astype(np.float32)),
        source=f"made {seed}",
        rejected=seed,
        broken="",
    )


def _image(compact: CompactSample, frame: int) -> torch.Tensor:
    """A crop as floats, in NumPy's arithmetic."""
    pixels = compact.crops[frame].numpy().transpose(2, 0, 1)
    return torch.from_numpy(np.minimum(pixels * compact.scales[frame].numpy(), np.float32(1)))


def test_frames_are_named_and_unpacked_to_the_bit() -> None:
    samples = [_compact(seed) for seed in range(3)]
    compact = collate(samples)
    assert isinstance(compact, CompactBatch)
    assert compact.rejected.tolist() == [0, 1, 2] and list(compact.broken) == [""] * 3
    batch = compact.to("cpu")
    assert isinstance(batch, Batch) and batch.search.dtype == torch.float32
    assert batch.search.is_contiguous() and batch.references.is_contiguous()
    assert batch.search.max() <= 1 and list(batch.source) == ["made 0", "made 1", "made 2"]
    for i, sample in enumerate(samples):
        assert torch.equal(batch.search[i], _image(sample, 2))
        references = torch.stack([_image(sample, 0), _image(sample, 1)])
        assert torch.equal(batch.references[i], references)
        assert torch.equal(batch.search_mask[i], sample.masks[2])
        assert torch.equal(batch.reference_masks[i], sample.masks[:2])
        assert torch.equal(batch.search_box[i], sample.boxes[2])
        assert torch.equal(batch.reference_boxes[i], sample.boxes[:2])
        assert torch.equal(batch.recent_boxes[i], sample.recent_boxes)
        assert torch.equal(batch.proposals[i], sample.proposals)
        assert torch.equal(batch.proposal_iou[i], sample.proposal_iou)
    assert compact.crops.dtype == torch.uint8  # left as it was


def test_brighter_than_white_is_cut() -> None:
    white = _compact(1)._replace(crops=torch.full((3, SIZE, SIZE, 3), 255, dtype=torch.uint8))
    bright = white._replace(scales=torch.tensor([0.5, 0.5, 1.2]) / 255)
    assert (collate([bright]).to("cpu").search == 1).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_unpacking_on_a_gpu_gives_the_same_bits() -> None:
    compact = collate([_compact(2)])
    assert torch.equal(compact.to("cuda").search.cpu(), compact.to("cpu").search)
