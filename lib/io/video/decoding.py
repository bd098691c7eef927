"""One pass through a video: PyAV decodes it, or OpenCV where PyAV is not installed.

    with open_decoder(Path("clip.mp4")) as decoder:
        while (seconds := decoder.grab()) is not None:
            decoder.image()  # (H, W, 3) uint8 RGB

PyAV gives every frame that a player shows, once, at its true time and turned as the file says;
what cannot be decoded is skipped and told. OpenCV gives no reason for an end.
"""

from pathlib import Path

from lib.io.video.codecs import Decoder
from lib.io.video.with_opencv import OpenCvDecoder
from lib.io.video.with_pyav import PyAvDecoder, load_pyav
from lib.utils.files import require_regular


def open_decoder(source: Path | str) -> Decoder:
    """Open a video file (a Path) or a stream (its address).

    Raises:
        OSError: no such file, or no regular one.
        VideoError: not a video, no picture in it; the stream does not answer.
    """
    if isinstance(source, Path):
        require_regular(source)
        # FFmpeg would take what is before the first colon for a protocol.
        source = source.absolute()
    return OpenCvDecoder(source) if load_pyav() is None else PyAvDecoder(source)
