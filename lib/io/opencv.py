"""What OpenCV does beside what it is asked for."""

import contextlib
from collections.abc import Iterator

import cv2


@contextlib.contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep OpenCV from printing what this project says in its own words."""
    # OpenCV 4 has these at its top, OpenCV 5 in a module.
    log = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
    level = log.getLogLevel()
    log.setLogLevel(0)  # silent
    try:
        yield
    finally:
        log.setLogLevel(level)


def not_a_video() -> str:
    """Say why a file was not opened as a video."""
    return (
        f"not a video that OpenCV {cv2.__version__} can read: another kind of file, truncated, or "
        "in an unknown codec"
    )


def no_frame() -> str:
    """Say what is wrong with a video that opens and gives nothing."""
    return (
        f"opens, but gives no frame (broken, or in a codec that OpenCV {cv2.__version__} cannot "
        "read)"
    )
