"""Demo data: synthetic clips, written once in GOT-10k's layout and read as GOT-10k is.

`train` and `val` are clips of different seeds: no object or path is in both. The same seeds give
the same files, whoever writes them.
"""

import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.io.layouts import Split, write_got10k
from lib.synthetic.clip_options import ClipOptions
from lib.synthetic.plan import plan_clip
from lib.synthetic.procedural import ProceduralTextures
from lib.synthetic.render import render

logger = logging.getLogger(__name__)


class DemoSize(NamedTuple):
    """How much demo data there is."""

    train: int = 400  # clips
    val: int = 60  # clips
    options: ClipOptions = ClipOptions(length=40)


DEMO_SIZE = DemoSize()


def make_demo(root: Path, size: DemoSize = DEMO_SIZE) -> None:
    """Make the demo data at `root`, unless something is there; takes a minute or two.

    The folder appears when it is whole. If two processes make it, the first one's stays.
    """
    if root.exists():
        return
    logger.info("composing %d demo clips under %s", size.train + size.val, root)
    root.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
    try:
        textures = ProceduralTextures()
        counts: dict[Split, int] = {"train": size.train, "val": size.val}
        for seed, (split, count) in enumerate(counts.items()):
            generators = (np.random.default_rng((seed, number)) for number in range(count))
            clips = (render(plan_clip(g, textures, size.options)) for g in generators)
            named = ((f"Demo_{number:06d}", clip) for number, clip in enumerate(clips, 1))
            write_got10k(temporary, named, split=split)
        os.chmod(temporary, 0o755)  # mkdtemp makes it private
        if not root.exists():
            temporary.rename(root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
