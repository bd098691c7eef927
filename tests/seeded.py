"""Deterministic inputs of the parity fixtures: every number follows from a seed.

Nothing here depends on a framework's own initialisation, so two
implementations that load these tensors must compute the same results.
"""

import zlib

import numpy as np


def seeded_tensor(key: str, shape: tuple, seed: int) -> np.ndarray:
    """Return the float32 (int64 for counters) value of state-dict entry `key`.

    The random stream is NumPy's frozen legacy generator, seeded by the key's
    CRC-32 and `seed`. Scales are chosen so that activations stay near one and
    the corner heat maps have a clear peak.
    """
    rng = np.random.RandomState((zlib.crc32(key.encode()) + 7919 * seed) % 2**32)
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if key.endswith("running_var"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if key.endswith("running_mean"):
        return (0.1 * rng.standard_normal(shape)).astype(np.float32)
    if len(shape) == 1:
        if key.endswith("weight"):  # the gain of a normalisation layer
            gain = 0.3 if key.endswith("bn3.weight") else 1.0
            return (gain * rng.uniform(0.8, 1.2, shape)).astype(np.float32)
        return (0.05 * rng.standard_normal(shape)).astype(np.float32)
    fan_in = int(np.prod(shape[1:]))
    gain = 2.0 if len(shape) == 4 else 1.0
    if "conv5_" in key:
        gain = 150.0
    if "embed" in key:
        return rng.standard_normal(shape).astype(np.float32)
    return (np.sqrt(gain / fan_in) * rng.standard_normal(shape)).astype(np.float32)


def seeded_frame(t: int, height: int = 240, width: int = 320) -> np.ndarray:
    """Return frame `t` of a synthetic clip: (height, width, 3) uint8 RGB.

    A patterned 40x32 rectangle moves over a patterned background; integer
    arithmetic only. `seeded_box(t)` is its box.
    """
    y, x = np.mgrid[0:height, 0:width]
    frame = np.stack([(x * 3 + y * (c + 1) + (x * y) // 97 + 40 * c) % 256 for c in range(3)], -1)
    x0, y0, w, h = seeded_box(t)
    py, px = np.mgrid[0:h, 0:w]
    frame[y0 : y0 + h, x0 : x0 + w] = np.stack(
        [(px * 11 + py * 7 * (c + 1) + ((px // 8 + py // 8) % 2) * 128) % 256 for c in range(3)], -1
    )
    return frame.astype(np.uint8)


def seeded_box(t: int) -> list:
    """Return the rectangle's box in frame `t`: [x, y, w, h] in pixels."""
    return [60 + 5 * t, 90 + 2 * t, 40, 32]
