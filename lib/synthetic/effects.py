"""What the camera and the light do to a clip's frames: focus, exposure, light, noise, grey."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from lib.synthetic import motion
from lib.synthetic.clip_options import ClipOptions
from lib.utils.image import decode_rgb, encode_rgb

MIN_BLUR = 1.5  # pixels that a picture moves during the exposure before motion blur is drawn
QUALITIES = (10, 60)  # of compressed frames, of 100
NOISE_MARGIN = 32  # pixels by which noise is larger than a frame, to be shifted for each frame


@dataclass(frozen=True)
class CameraEffects:
    """The effects on a clip of T frames."""

    gain: np.ndarray  # (T, 3) factor per frame and RGB channel
    gamma: float = 1.0
    exposure: float = 0.0  # share of the frame interval that the shutter is open: motion blur
    defocus: float = 0.0  # sigma of the blur of the whole frame, pixels
    grey: bool = False
    # Levels (H + NOISE_MARGIN, W + NOISE_MARGIN, 3) int16; row, column (T, 2) of each frame in it.
    noise: tuple[np.ndarray, np.ndarray] | None = None
    quality: int | None = None  # of the JPEG that frames come from

    @classmethod
    def random(cls, rng: Generator, options: ClipOptions) -> "CameraEffects":
        length, height, width = options.length, options.height, options.width
        gain, gamma = np.ones((length, 3)), 1.0
        if rng.random() < options.relight:
            swell = np.tanh(motion.smooth_noise(rng, length, 1, rng.uniform(5, 40)))
            gain = (1 + rng.uniform(0, 0.35) * swell) * rng.uniform(0.9, 1.1, 3)
            gamma = float(np.exp(rng.uniform(-0.4, 0.4)))
        levels = None
        if rng.random() < 0.5:
            shape = (height + NOISE_MARGIN, width + NOISE_MARGIN)
            grain = rng.standard_normal(shape, np.float32) * rng.uniform(1, 6)
            levels = np.repeat(np.round(grain).astype(np.int16)[..., None], 3, 2)
        exposure = rng.uniform(0.3, 1) * (rng.random() < options.motion_blur)
        defocus = rng.uniform(0.4, 1) * (rng.random() < 0.2)
        grey = rng.random() < options.grey
        corners = rng.integers(0, NOISE_MARGIN, (length, 2))
        noise = None if levels is None else (levels, corners)
        quality = None
        if options.compress and rng.random() < options.compress:
            quality = int(rng.integers(*QUALITIES))
        return cls(gain, gamma, float(exposure), float(defocus), grey, noise, quality)

    def apply(self, image: np.ndarray, t: int) -> np.ndarray:
        """Return frame t, (H, W, 3) uint8 RGB, with all effects but motion blur."""
        if self.defocus > 0:
            image = cv2.GaussianBlur(image, (0, 0), self.defocus)
        if self.gamma != 1 or not np.all(self.gain[t] == 1):
            levels = (np.arange(256) / 255) ** self.gamma * 255
            table = np.clip(levels[:, None] * self.gain[t] + 0.5, 0, 255).astype(np.uint8)
            image = cv2.LUT(image, table[None])
        if self.noise is not None:
            levels, corners = self.noise
            (row, column), (height, width) = corners[t], image.shape[:2]
            noise = levels[row : row + height, column : column + width]
            image = cv2.add(image, noise, dtype=cv2.CV_8U)
        if self.grey:
            image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        if self.quality is not None:
            image = decode_rgb(encode_rgb(image, ".jpg", self.quality), "a frame")
        return image


def motion_blur(image: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Smear an image along `step` (x, y pixels), centred: the middle stays where it is."""
    length = float(np.hypot(*step))
    if length < MIN_BLUR:
        return image
    side = 2 * int(np.ceil(length / 2)) + 1
    kernel = np.zeros((side, side), np.float32)
    half = np.asarray(step) / 2 * 16  # in sixteenths of a pixel, 4 bits
    middle = np.array([side // 2, side // 2]) * 16
    start, end = (np.round(middle + sign * half).astype(int).tolist() for sign in (-1, 1))
    cv2.line(kernel, start, end, 1.0, 1, cv2.LINE_8, 4)
    return cv2.filter2D(image, -1, kernel / kernel.sum())
