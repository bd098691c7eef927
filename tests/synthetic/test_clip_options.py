"""Guards options of synthetic clips: impossible ones are refused by name."""

import pytest

from lib.synthetic.clip_options import ClipOptions

REFUSED = {
    "no frames": ({"length": 0}, "length = 0: 1 to 1e\\+06 is allowed"),
    "tiny frame": ({"height": 8}, "height = 8: 16 to 8192 is allowed"),
    "objects too small": (
        {"object_size": (0.01, 0.3)},
        "0.01 is 2.8 pixels in frames of 320x240; 4 pixels, that is 0.0144, are needed",
    ),
    "object larger than the image": ({"object_size": (0.1, 1.5)}, "0.001 to 1 is allowed"),
    "pair the wrong way round": ({"speed": (0.2, 0.1)}, "the first not above the second"),
    "negative count": ({"occluders": (-1, 2)}, r"occluders = \(-1, 2\): 0 to 100 is allowed"),
    "not a chance": ({"leave": 1.2}, "leave = 1.2: 0 to 1 is allowed"),
    "not a number": ({"grey": float("nan")}, "grey = nan: 0 to 1 is allowed"),
    "shrinking change": ({"scale_change": 0.5}, "scale_change = 0.5: 1 to 10 is allowed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_impossible_options_are_refused_by_name(case):
    options, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        ClipOptions(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 2.5}, "length = 2.5: a whole number is needed"),
        ({"speed": 0.1}, "speed = 0.1: a pair of numbers is needed"),
        ({"distractors": (0, 1, 2)}, "a pair of whole numbers is needed"),
        ({"region": True}, "region = True: a number is needed"),
    ],
)
def test_options_of_another_type_are_refused_by_name(options, message):
    with pytest.raises(TypeError, match=message):
        ClipOptions(**options)
