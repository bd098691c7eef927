"""What synthetic clips are like: one frozen table of options, checked when it is made."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_type_hints

MIN_SIZE = 4.0  # pixels: no object is planned smaller
Chance = Annotated[float, 0, 1]


@dataclass(frozen=True)
class ClipOptions:
    """What clips are like; each type names the smallest and the greatest value allowed.

    Pairs are (smallest, greatest) of what is drawn once per clip, size and speed log-uniformly.
    """

    length: Annotated[int, 1, 10**6] = 60  # frames
    height: Annotated[int, 16, 8192] = 240  # pixels
    width: Annotated[int, 16, 8192] = 320
    object_size: Annotated[tuple[float, float], 0.001, 1] = (0.06, 0.45)  # sqrt(box / image area)
    speed: Annotated[tuple[float, float], 0.0001, 2] = (0.004, 0.15)  # RMS step per frame / size
    scale_change: Annotated[float, 1, 10] = 2.5  # greatest / smallest size within a clip, at most
    turn: Annotated[float, 0, 90] = 3.0  # degrees per frame (RMS), at most
    spin: Chance = 0.0  # an object turns on and on, once in 30 to 150 frames
    bend: Chance = 0.0  # an object turns out of the plane and bends, its parts on their own
    repaint: Chance = 0.0  # an object's colours turn into others
    shadow: Chance = 0.0  # the target throws a shadow that moves with it
    distractors: Annotated[tuple[int, int], 0, 100] = (0, 4)  # similar objects, behind the target
    occluders: Annotated[tuple[int, int], 0, 100] = (0, 2)  # objects that cross in front of it
    leave: Chance = 0.15  # the target's trajectory may lead out of the image
    region: Chance = 0.2  # the target is a part of the background: only the camera moves
    shake: Chance = 0.15  # a hand-held camera
    motion_blur: Chance = 0.4
    relight: Chance = 0.5  # light that changes
    faint: Chance = 0.2  # a target whose contrast to the background is low
    grey: Chance = 0.1  # a grey clip
    compress: Chance = 0.0  # frames come from a coarse JPEG
    min_cover: Annotated[float, 0.01, 0.5] = 0.1  # the target counts as visible from this cover on

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError that names an impossible option and what is allowed."""
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            _check(name, getattr(self, name), *get_args(hint))
        side, smallest = math.sqrt(self.height * self.width), self.object_size[0]
        if smallest * side < MIN_SIZE:
            raise ValueError(
                f"object_size = {self.object_size}: {smallest:g} is {smallest * side:.1f} pixels "
                f"in frames of {self.width}x{self.height}; "
                f"{MIN_SIZE:g} pixels, that is {MIN_SIZE / side:.4f}, are needed"
            )


def _check(name: str, value: object, kind: Any, low: float, high: float) -> None:
    """Refuse what is not of `kind`, a number or a pair of numbers, or not in [low, high]."""
    is_pair, whole = bool(get_args(kind)), int in (kind, *get_args(kind))
    numbers = value if is_pair and isinstance(value, tuple | list) else (value,)
    kinds = int if whole else (int, float)
    if len(numbers) != 1 + is_pair or any(
        isinstance(number, bool) or not isinstance(number, kinds) for number in numbers
    ):
        noun = "whole number" if whole else "number"
        needed = f"a pair of {noun}s" if is_pair else f"a {noun}"
        raise TypeError(f"{name} = {value!r}: {needed} is needed")
    if not all(low <= number <= high for number in numbers) or numbers[0] > numbers[-1]:
        order = ", the first not above the second" if is_pair else ""
        raise ValueError(f"{name} = {value!r}: {low:g} to {high:g} is allowed{order}")
