"""Demo data: synthetic clips, written once in GOT-10k's layout and read as GOT-10k is.

`train` and `val` are clips of different seeds: no object or path is in both. The same seeds give
the same files, whoever writes them.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.io.store import Store
from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.layouts import Split, write_got10k
from lib.synthetic.plan import plan_clip
from lib.synthetic.procedural import ProceduralTextures
from lib.synthetic.render import Clip, render
from lib.synthetic.textures import Textures
from lib.train.dataset.benchmarks import Got10k
from lib.train.dataset.splits import got10k_names

logger = logging.getLogger(__name__)


class DemoSize(NamedTuple):
    """How much demo data there is."""

    train: int = 400  # clips
    val: int = 60  # clips
    options: ClipOptions = ClipOptions(length=40)


DEMO_SIZE = DemoSize()


class Demo(Got10k):
    """Synthetic clips of one split."""

    def __init__(self, name: str, store: Store, split: str) -> None:
        """See `BaseVideoDataset`; `split` is "train" or "val"."""
        super().__init__(name, store, got10k_names(store, split, None), split)


def make_demo(root: Path, size: DemoSize = DEMO_SIZE, textures: Textures | None = None) -> None:
    """Make the demo data at `root`, unless something is there; takes a minute or two.

    The folder appears when it is whole. If two processes make it, the first one's stays.

    Args:
        textures: what objects and backgrounds look like; procedural by default.
    """
    if root.exists():
        return
    logger.info("composing %d demo clips under %s", size.train + size.val, root)
    root.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
    try:
        counts: dict[Split, int] = {"train": size.train, "val": size.val}
        for seed, (split, count) in enumerate(counts.items()):
            clips = _compose(seed, count, size.options, textures or ProceduralTextures())
            write_got10k(temporary, clips, split=split)
        os.chmod(temporary, 0o755)  # mkdtemp makes it private
        if not root.exists():
            temporary.rename(root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _compose(
    seed: int, count: int, options: ClipOptions, textures: Textures
) -> Iterator[tuple[str, Clip]]:
    """Yield named clips, each from a seed of its own."""
    for number in range(count):
        generator = np.random.default_rng((seed, number))
        yield f"Demo_{number + 1:06d}", render(plan_clip(generator, textures, options))
