"""Which frames make a sample: a data set by ratio, a sequence, three frames of it in causal order.

Source: docs/method.md, section 4. processing.py turns the frames into a sample.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from lib.train.data.batch import CompactSample
from lib.train.data.processing import SearchConfig, UnusableSample, make_sample
from lib.utils.image import ImageError

MIN_LENGTH = 20  # frames of a video
MIN_VISIBLE = 7  # visible frames of a video
GAP_STEP = 5  # frames by which the gap grows until frames are found
MAX_DRAWS = 100  # for one sample


class SamplingError(RuntimeError):
    """Not one usable sample in many draws."""


class TrackingDataset(Protocol):
    """What the sampler needs of a data set. `read_frame` raises ImageError or OSError."""

    name: str
    lengths: np.ndarray  # (n,) frames of each sequence
    visible_counts: np.ndarray  # (n,) visible frames of each sequence

    @property
    def is_video(self) -> bool: ...  # False for a set of single images
    def sequence_name(self, sequence: int) -> str: ...
    def boxes(self, sequence: int) -> np.ndarray: ...  # (T, 4) float64 xywh, pixels of the image
    def visible(self, sequence: int) -> np.ndarray: ...  # (T,) bool
    def read_frame(self, sequence: int, frame: int) -> np.ndarray: ...  # (H, W, 3) uint8 RGB


class FrameTriplet(NamedTuple):
    """Three frames of a sequence: two references, then the search frame."""

    dataset: TrackingDataset
    sequence: int
    frames: tuple[int, int, int]  # counted from 0

    def describe(self) -> str:
        name = f"{self.dataset.name} {self.dataset.sequence_name(self.sequence)}"
        return f"{name} frames {', '.join(map(str, self.frames))}"


class TrackingSampler:
    """Draws samples from a mixture of data sets."""

    def __init__(
        self,
        datasets: Sequence[TrackingDataset],
        ratios: Sequence[float],
        search_config: SearchConfig,
        max_gap: int,
    ) -> None:
        """Find the sequences that can be sampled.

        Args:
            ratios: how often each data set is drawn, in proportion.
            max_gap: frames between the later reference and the other two.

        Raises:
            ValueError: ratios that do not fit, or a data set of which no sequence can be sampled.
        """
        if len(ratios) != len(datasets) or min(ratios, default=0) < 0 or not sum(ratios) > 0:
            raise ValueError(
                f"one ratio of 0 or more for each of {len(datasets)} data sets, not all 0, "
                f"not {list(ratios)}"
            )
        self._datasets = list(datasets)
        self._shares = np.array(ratios) / np.sum(ratios)
        self._usable = [find_usable(dataset) for dataset in datasets]
        self._search_config = search_config
        self._max_gap = max_gap

    def draw(self, generator: np.random.Generator) -> CompactSample:
        """Draw until a sample can be made; SamplingError if none can in MAX_DRAWS draws."""
        broken, rejected = list[str](), list[str]()
        for _ in range(MAX_DRAWS):
            # Which frames.
            triplet = self.draw_frames(generator)
            # Read them and cut the crops; what cannot be used is replaced by another draw.
            try:
                sample = self._make(triplet, generator)
            except UnusableSample as error:
                rejected.append(f"{triplet.describe()}: {error}")
            except (ImageError, OSError) as error:
                broken.append(" ".join(f"{triplet.dataset.name}: {error}".split()))
            else:
                return sample._replace(rejected=len(rejected), broken="\n".join(broken))
        example = (broken + rejected)[-1]
        raise SamplingError(
            f"no sample in {MAX_DRAWS} draws: {len(broken)} with an unreadable image, "
            f"{len(rejected)} without a usable window, for example {example}"
        )

    def draw_frames(self, generator: np.random.Generator) -> FrameTriplet:
        """Draw a data set, a sequence and its frames."""
        which = int(generator.choice(len(self._shares), p=self._shares))
        dataset, usable = self._datasets[which], self._usable[which]
        sequence = int(usable[generator.integers(len(usable))])
        frames = (0, 0, 0)
        if dataset.is_video:
            frames = draw_causal_frames(dataset.visible(sequence), self._max_gap, generator)
        return FrameTriplet(dataset, sequence, frames)

    def _make(self, triplet: FrameTriplet, generator: np.random.Generator) -> CompactSample:
        dataset, sequence, frames = triplet
        images = {frame: dataset.read_frame(sequence, frame) for frame in dict.fromkeys(frames)}
        return make_sample(
            [images[frame] for frame in frames],
            dataset.boxes(sequence)[list(frames)],
            self._search_config,
            generator,
            triplet.describe(),
        )


def find_usable(dataset: TrackingDataset) -> np.ndarray:
    """Numbers of the sequences that can be sampled; ValueError if there are none."""
    if dataset.is_video:
        usable = (dataset.visible_counts >= MIN_VISIBLE) & (dataset.lengths >= MIN_LENGTH)
        needed = f"{MIN_LENGTH} frames, {MIN_VISIBLE} of them visible"
    else:
        usable, needed = dataset.visible_counts >= 1, "a box with an area"
    if not usable.any():
        raise ValueError(
            f"{dataset.name}: none of {len(usable)} sequences can be sampled; {needed} are needed, "
            f"the longest has {max(dataset.lengths, default=0)} frames and the best "
            f"{max(dataset.visible_counts, default=0)} visible ones"
        )
    return np.flatnonzero(usable)


def draw_causal_frames(
    visible: np.ndarray, max_gap: int, generator: np.random.Generator
) -> tuple[int, int, int]:
    """Draw two references and a search frame, all visible, in temporal order.

    The later reference, the base, comes first: any visible frame but the video's first and last.
    The earlier one is at most `max_gap` frames before it, the search frame less than `max_gap`
    after it. If one of them is missing, the gap grows by GAP_STEP, and the base is drawn anew.

    Args:
        visible: (T,) bool, True for three frames or more.
    """
    frames = np.flatnonzero(visible)
    bases = frames[(frames > 0) & (frames < len(visible) - 1)]
    gap = max_gap
    while True:
        # The base, then what lies within the gap on either side of it.
        base = int(generator.choice(bases))
        earlier = frames[(frames >= base - gap) & (frames < base)]
        later = frames[(frames > base) & (frames < base + gap)]
        if len(earlier) and len(later):
            return int(generator.choice(earlier)), base, int(generator.choice(later))
        gap += GAP_STEP
