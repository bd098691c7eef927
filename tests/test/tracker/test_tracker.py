"""Guards the tracker: the reference's loops, its interface, its memory, bad input."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from seeded import seeded_box, seeded_frame

from lib.checkpoint.files import CheckpointError
from lib.config.aiatrack.config import ConfigError, make_config
from lib.models.aiatrack.aiatrack import AiATrack
from lib.test.parameter.aiatrack import make_params
from lib.test.tracker import load_tracker
from lib.test.tracker.aiatrack import AiATrackTracker
from lib.test.tracker.memory import ReferenceMemory
from lib.utils.image import read_rgb
from lib.utils.paths import PROJECT_ROOT
from tests.conftest import TINY

SLOW_LOOPS = [pytest.param(name, marks=pytest.mark.slow) for name in ("all", "none")]
PLAIN = pytest.mark.parametrize("plain", [True, False], ids=["plain", "optimized"])


def compare_loop(
    golden: dict, name: str, checkpoint: Path, frame: Callable, *, plain: bool
) -> None:
    """Track as the fixture did and compare every frame."""
    expected = {k.split("/")[1]: v for k, v in golden.items() if k.startswith(f"track_{name}/")}
    capacity, ensemble, threshold = expected["hyper"].tolist()
    tracker = load_tracker(
        *("baseline", checkpoint),
        device="cpu",
        hyper=(int(capacity), int(ensemble), threshold),
        plain=plain,
    )
    tracker.initialize(frame(0), expected["init"])
    for i, box in enumerate(expected["boxes"]):
        output = tracker.track(frame(i + 1))
        # The reference repeats itself to 0.006 px; other kernels may add a little.
        np.testing.assert_allclose(output.box, box, atol=0.05, err_msg=f"frame {i + 1}")
        raw = expected["pred_iou"][i]
        assert tracker.raw_score == pytest.approx(raw, abs=1e-3)
        assert output.score == pytest.approx(np.clip((raw + 1) / 2, 0, 1), abs=1e-3)
        assert len(tracker.memory) == expected["memory_len"][i]


@PLAIN
@pytest.mark.parametrize("name", [*SLOW_LOOPS, "some"])
def test_loops_of_the_reference(
    golden: dict, seeded_checkpoint: Path, name: str, plain: bool
) -> None:
    compare_loop(golden, name, seeded_checkpoint, seeded_frame, plain=plain)


@pytest.mark.slow
@PLAIN
def test_loop_of_the_reference_on_a_real_sequence(
    golden: dict, seeded_checkpoint: Path, shared: Path, plain: bool
) -> None:
    folder = shared / "sequences" / "Crossing" / "img"

    def frame(index: int) -> np.ndarray:
        return read_rgb(folder / f"{index + 1:04d}.jpg")

    compare_loop(golden, "Crossing", seeded_checkpoint, frame, plain=plain)


@pytest.fixture
def tracker(tiny_recipe: Path, tiny_checkpoint: Path) -> AiATrackTracker:
    """A small tracker that remembers every frame."""
    return load_tracker(tiny_recipe, tiny_checkpoint, device="cpu", hyper=(5, 3, -1e9))


def test_output_and_dictionaries(tracker: AiATrackTracker) -> None:
    tracker.initialize(seeded_frame(0), {"init_bbox": seeded_box(0)})
    box, score = tracker.track(seeded_frame(1), {"previous_output": {}})
    assert len(box) == 4 and all(type(v) is float for v in box) and 0 <= score <= 1
    first = (box, score)
    tracker.initialize(seeded_frame(0), np.array(seeded_box(0)))  # a second video, same network
    assert tracker.track(seeded_frame(1)) == first


def kept_bytes(memory: ReferenceMemory) -> int:
    """Bytes of all storages that a memory keeps alive, shared ones counted once."""
    tensors = [*memory.first.long, *memory.recent.short, memory.recent.inner_pos]
    for entry in memory.entries:
        tensors += [*entry.short, entry.inner_pos]
    storages = {x.untyped_storage().data_ptr(): x.untyped_storage() for x in tensors}
    return sum(storage.nbytes() for storage in storages.values())


def test_memory_is_bounded_by_capacity(tracker: AiATrackTracker) -> None:
    tracker.initialize(seeded_frame(0), seeded_box(0))
    sizes = []
    for t in range(1, 30):
        tracker.track(seeded_frame(t % 5))
        sizes.append(kept_bytes(tracker.memory))
    assert len(tracker.memory) == 5
    assert len(set(sizes[6:])) == 1
    # Keys, values (2 x 16 tokens x 32) and inner encodings (16 x 16) of a frame, fp32.
    assert sizes[1] - sizes[0] == 4 * (2 * 16 * 32 + 16 * 16)


def test_hyper_parameters_follow_the_benchmark() -> None:
    cfg = make_config(TINY)
    nfs = make_params(cfg, "nfs")
    assert (nfs.capacity, nfs.ensemble, nfs.threshold) == (80, 3, 0.6)
    assert make_params(cfg, "LaSOT_ext").ensemble == 6
    assert make_params(cfg, "my_videos") == make_params(cfg, "default")
    with pytest.raises(ConfigError, match=r"hyper must be \[capacity, ensemble, threshold\]"):
        make_params(cfg, "otb", (0, 3, 0.7))


FRAME = seeded_frame(0)
BAD_STARTS = [
    ("zero width", FRAME, [10, 10, 0, 5], ValueError, r"above 0; given: \[10.0, 10.0, 0.0, 5.0\]"),
    ("negative height", FRAME, [10, 10, 5, -5], ValueError, r"above 0; .*-5"),
    ("NaN", FRAME, [10, float("nan"), 5, 5], ValueError, "4 finite numbers.*nan"),
    ("infinite", FRAME, [10, 10, float("inf"), 5], ValueError, "4 finite numbers.*inf"),
    ("three numbers", FRAME, [10, 10, 5], ValueError, r"4 finite numbers.*\[10, 10, 5\]"),
    ("words", FRAME, "box", ValueError, "4 finite numbers.*'box'"),
    ("right of the image", FRAME, [320, 10, 5, 5], ValueError, "outside the 320 x 240 image"),
    ("above the image", FRAME, [10, -30, 5, 30], ValueError, "outside the 320 x 240 image"),
    ("grey image", FRAME[..., 0], [10, 10, 5, 5], ValueError, r"\(240, 320\) \(grey"),
    ("RGBA image", np.dstack([FRAME, FRAME[..., 0]]), [10, 10, 5, 5], ValueError, "RGBA"),
    ("16 bits", FRAME.astype(np.uint16), [10, 10, 5, 5], TypeError, "uint16"),
]


@pytest.mark.parametrize(
    ("name", "image", "box", "error", "message"), BAD_STARTS, ids=[c[0] for c in BAD_STARTS]
)
def test_bad_starts(
    tracker: AiATrackTracker, name: str, image, box, error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        tracker.initialize(image, box)
    with pytest.raises(RuntimeError, match="call initialize"):
        tracker.track(FRAME)


def test_bad_frames(tracker: AiATrackTracker) -> None:
    tracker.initialize(FRAME, seeded_box(0))
    with pytest.raises(ValueError, match="grey"):
        tracker.track(FRAME[..., 0])
    with pytest.raises(TypeError, match="float64"):
        tracker.track(FRAME / 255)


def test_image_smaller_than_the_margin_and_target_at_its_edge(tracker: AiATrackTracker) -> None:
    """Nothing falls over when the image is tiny or the target half outside."""
    for shape, box in (((6, 8, 3), [1, 1, 4, 4]), ((240, 320, 3), [-30, -20, 40, 40])):
        image = np.full(shape, 90, np.uint8)
        tracker.initialize(image, box)
        for _ in range(3):
            assert np.isfinite(tracker.track(image).box).all()


def test_load_tracker_refusals(
    tmp_path: Path, tiny_recipe: Path, tiny_checkpoint: Path, seeded_checkpoint: Path
) -> None:
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*AIATRACK_ep0500.*Trained_Models"):
        load_tracker(tiny_recipe)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*none\.pth"):
        load_tracker(tiny_recipe, tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match=r"would fit MODEL\.HIDDEN_DIM 256"):
        load_tracker(tiny_recipe, seeded_checkpoint, device="cpu")
    with pytest.raises(ValueError, match="device 'cuda:77' cannot be used here"):
        load_tracker(tiny_recipe, tiny_checkpoint, device="cuda:77")
    with pytest.raises(ValueError, match="device 'gpu' cannot be used here"):
        load_tracker(tiny_recipe, tiny_checkpoint, device="gpu")
    with pytest.raises(ValueError, match="pooling must be"):
        load_tracker(tiny_recipe, tiny_checkpoint, pooling="compiled")


PRECISIONS = {  # torch's setting -> value; from 2.9 on there are several of them
    "fp32_precision": "ieee",
    "cudnn.conv.fp32_precision": "ieee",
    "cudnn.allow_tf32": False,
    "cudnn.deterministic": True,
}


@pytest.mark.parametrize("name", PRECISIONS)
def test_settings_of_the_user_stay(tiny_recipe: Path, tiny_checkpoint: Path, name: str) -> None:
    """In a process of its own: what is set once cannot wholly be taken back."""
    program = f"""
import sys, torch, numpy as np
sys.path.insert(0, {str(PROJECT_ROOT)!r})
from lib.test.tracker.aiatrack import without_tf32
from lib.test.tracker.load import load_tracker
backends = torch.backends
backends.{name} = {PRECISIONS[name]!r}
tracker = load_tracker({str(tiny_recipe)!r}, {str(tiny_checkpoint)!r}, device="cpu")
frame = np.zeros((99, 99, 3), np.uint8)
tracker.initialize(frame, [30, 30, 20, 20])
tracker.track(frame)
assert backends.{name} == {PRECISIONS[name]!r}
for device in ("cpu", "cuda"):
    with without_tf32(torch.device(device)):
        assert backends.cudnn.deterministic == ({name!r} == "cudnn.deterministic")
        if device == "cuda":
            conv = getattr(backends.cudnn, "conv", None)
            assert conv.fp32_precision != "tf32" if conv else not backends.cudnn.allow_tf32
    assert backends.{name} == {PRECISIONS[name]!r}
"""
    if "conv" in name and not hasattr(torch.backends.cudnn, "conv"):
        pytest.skip("this torch has no such setting")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_several_trackers_share_a_network(tiny_model: AiATrack) -> None:
    params = make_params(make_config(TINY), "otb", (5, 2, -1e9))
    alone = AiATrackTracker(tiny_model, params, torch.device("cpu"))
    alone.initialize(seeded_frame(0), seeded_box(0))
    expected = [alone.track(seeded_frame(t)) for t in (1, 2)]
    one, two = (AiATrackTracker(tiny_model, params, torch.device("cpu")) for _ in range(2))
    one.initialize(seeded_frame(0), seeded_box(0))
    two.initialize(seeded_frame(3), [100, 100, 50, 40])
    got = []
    for t in (1, 2):
        two.track(seeded_frame(t))
        got.append(one.track(seeded_frame(t)))
    assert got == expected
