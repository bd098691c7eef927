"""What synthetic clips are like: one frozen table of options, checked when it is made."""

import math
from dataclasses import dataclass, field, fields
from typing import Any

MIN_SIZE = 4.0  # pixels: no object is planned smaller
CHANCE = (0.0, 1.0)  # what is allowed where no limits are named


def _limited(default: object, low: float, high: float) -> Any:
    """Make an option, a number or a pair of numbers, with its smallest and greatest value."""
    return field(default=default, metadata={"limits": (low, high)})


@dataclass(frozen=True)
class ClipOptions:
    """What clips are like.

    Pairs are (smallest, greatest) of what is drawn once per clip, size and speed log-uniformly;
    chances are in [0, 1].
    """

    length: int = _limited(60, 1, 10**6)  # frames
    height: int = _limited(240, 16, 8192)  # pixels
    width: int = _limited(320, 16, 8192)
    object_size: tuple[float, float] = _limited((0.06, 0.45), 0.001, 1)  # sqrt(box / image area)
    speed: tuple[float, float] = _limited((0.004, 0.15), 0.0001, 2)  # RMS step per frame / size
    scale_change: float = _limited(2.5, 1, 10)  # greatest / smallest size within a clip, at most
    turn: float = _limited(3.0, 0, 90)  # degrees per frame (RMS), at most
    distractors: tuple[int, int] = _limited((0, 4), 0, 100)  # similar objects, behind the target
    occluders: tuple[int, int] = _limited((0, 2), 0, 100)  # objects that cross in front of it
    leave: float = 0.15  # chance that the target's trajectory may lead out of the image
    region: float = 0.2  # chance that the target is a part of the background: only the camera moves
    shake: float = 0.15  # chance of a hand-held camera
    motion_blur: float = 0.4  # chance of motion blur
    relight: float = 0.5  # chance of light that changes
    faint: float = 0.2  # chance of a target whose contrast to the background is low
    grey: float = 0.1  # chance of a grey clip
    min_cover: float = _limited(0.1, 0.01, 0.5)  # the target counts as visible from this cover on

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError that names an impossible option and what is allowed."""
        for option in fields(self):
            limits = option.metadata.get("limits", CHANCE)
            _check(option.name, getattr(self, option.name), option.default, *limits)
        side, smallest = math.sqrt(self.height * self.width), self.object_size[0]
        if smallest * side < MIN_SIZE:
            raise ValueError(
                f"object_size = {self.object_size}: {smallest:g} is {smallest * side:.1f} pixels "
                f"in frames of {self.width}x{self.height}; "
                f"{MIN_SIZE:g} pixels, that is {MIN_SIZE / side:.4f}, are needed"
            )


def _check(name: str, value: object, default: object, low: float, high: float) -> None:
    """Refuse a value, or a pair, of another type than the default or outside [low, high]."""
    examples = default if isinstance(default, tuple) else (default,)
    is_pair, whole = len(examples) == 2, isinstance(examples[0], int)
    numbers = value if is_pair and isinstance(value, tuple | list) else (value,)
    kinds = int if whole else (int, float)
    if len(numbers) != len(examples) or any(
        isinstance(number, bool) or not isinstance(number, kinds) for number in numbers
    ):
        noun = "whole number" if whole else "number"
        raise TypeError(
            f"{name} = {value!r}: a {f'pair of {noun}s' if is_pair else noun} is needed"
        )
    if not all(low <= number <= high for number in numbers) or numbers[0] > numbers[-1]:
        order = ", the first not above the second" if is_pair else ""
        raise ValueError(f"{name} = {value!r}: {low:g} to {high:g} is allowed{order}")
