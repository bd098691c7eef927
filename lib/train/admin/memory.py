"""How this process deals with memory that a training step frees and the next one asks for again."""

import ctypes
import sys

# glibc's names for what mallopt sets, and its defaults, the largest that it chooses on its own.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT = {MMAP_THRESHOLD: 2**30, TRIM_THRESHOLD: -1}  # -1: never
RETURNED = {MMAP_THRESHOLD: 2**25, TRIM_THRESHOLD: 2**26}


def keep_freed_memory(*, keep: bool = True) -> None:
    """Keep freed memory for the next step; glibc returns blocks of 32 MiB, page by page, each time.

    Does nothing with another C library. keep: False is glibc's own way, for comparisons.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        for name, value in (KEPT if keep else RETURNED).items():
            library.mallopt(name, value)
        if not keep:
            library.malloc_trim(0)
