"""Types of command-line arguments that several programs take."""

import argparse


def parse_box(text: str) -> list[float]:
    """Read a box, "200,150,60,80".

    Raises:
        argparse.ArgumentTypeError: not four numbers.
    """
    return _numbers(text, 4, "a box is x,y,w,h in pixels, such as 200,150,60,80")


def parse_point(text: str) -> list[float]:
    """Read a point, "230,190".

    Raises:
        argparse.ArgumentTypeError: not two numbers.
    """
    return _numbers(text, 2, "a point is x,y in pixels, such as 230,190")


def _numbers(text: str, count: int, what: str) -> list[float]:
    """Read numbers that are separated by commas."""
    try:
        values = [float(v) for v in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count:
        raise argparse.ArgumentTypeError(f"{what}; given: {text!r}")
    return values
