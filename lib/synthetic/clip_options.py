"""What composed clips are like: one frozen table of options, checked when it is made.

Read by `lib/synthetic/compose.py` (which offers it to callers) and `lib/synthetic/plan.py`.
"""

import math
from dataclasses import dataclass

SHORTEST = 4.0  # pixels: no object is planned smaller

ALLOWED = {  # option: least, greatest, whole numbers only
    "length": (1, 10**6, True),
    "height": (16, 8192, True),
    "width": (16, 8192, True),
    "object_size": (0.001, 1, False),
    "speed": (0.0001, 2, False),
    "scale_change": (1, 10, False),
    "turn": (0, 90, False),
    "distractors": (0, 100, True),
    "occluders": (0, 100, True),
    "leave": (0, 1, False),
    "region": (0, 1, False),
    "shake": (0, 1, False),
    "motion_blur": (0, 1, False),
    "relight": (0, 1, False),
    "faint": (0, 1, False),
    "grey": (0, 1, False),
    "least_cover": (0.01, 0.5, False),
}
PAIRS = ("object_size", "speed", "distractors", "occluders")


@dataclass(frozen=True)
class ClipOptions:
    """What clips are like.

    Pairs are (least, greatest) of what is drawn once a clip; chances are in [0, 1].
    """

    length: int = 60  # frames
    height: int = 240  # pixels
    width: int = 320
    object_size: tuple[float, float] = (0.06, 0.45)  # sqrt(box area / image area), log-uniform
    speed: tuple[float, float] = (0.004, 0.15)  # RMS motion a frame / object's size, log-uniform
    scale_change: float = 2.5  # greatest size over smallest size within a clip, at most
    turn: float = 3.0  # degrees a frame (RMS), at most
    distractors: tuple[int, int] = (0, 4)  # look-alikes, behind the target
    occluders: tuple[int, int] = (0, 2)  # objects that cross in front of it
    leave: float = 0.15  # chance that the target's path may lead out of the image
    region: float = 0.2  # chance that the target is a part of the background: only the camera moves
    shake: float = 0.15  # chance of a hand-held camera
    motion_blur: float = 0.4  # chance of motion blur
    relight: float = 0.5  # chance of light that changes
    faint: float = 0.2  # chance of a target whose contrast to the background is low
    grey: float = 0.1  # chance of a grey clip
    least_cover: float = 0.1  # visible from this cover on

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            TypeError: not a number, or not a pair of numbers.
            ValueError: out of range; names the option, the value and what is allowed.
        """
        for name, (least, greatest, whole) in ALLOWED.items():
            _check(name, getattr(self, name), least, greatest, whole)
        side = math.sqrt(self.height * self.width)
        if self.object_size[0] * side < SHORTEST:
            raise ValueError(
                f"object_size = {self.object_size}: {self.object_size[0]:g} is "
                f"{self.object_size[0] * side:.1f} pixels in frames of {self.width}x{self.height}; "
                f"{SHORTEST:g} pixels, that is {SHORTEST / side:.4f}, are needed"
            )


def _check(name: str, value: object, least: float, greatest: float, whole: bool) -> None:
    """Refuse a value, or a pair, of another type or outside [least, greatest]."""
    is_pair = name in PAIRS
    noun = "whole number" if whole else "number"
    needed = f"a pair of {noun}s" if is_pair else f"a {noun}"
    numbers = value if is_pair and isinstance(value, tuple | list) else (value,)
    kinds = int if whole else (int, float)
    if len(numbers) != 1 + is_pair or any(
        isinstance(number, bool) or not isinstance(number, kinds) for number in numbers
    ):
        raise TypeError(f"{name} = {value!r}: {needed} is needed")
    if not all(least <= number <= greatest for number in numbers) or numbers[0] > numbers[-1]:
        order = ", the first not above the second" if is_pair else ""
        raise ValueError(f"{name} = {value!r}: {least:g} to {greatest:g} is allowed{order}")
