"""Guards freed memory: kept, it comes back without page faults; else as the C library likes."""

import resource
import sys

import pytest
import torch

from lib.train.admin.memory import keep_freed_memory


def _faults() -> int:
    """Page faults of asking for 64 MiB, the second time."""
    torch.ones(2**24)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
def test_freed_memory_is_kept() -> None:
    keep_freed_memory()
    kept = _faults()
    keep_freed_memory(keep=False)
    assert kept < 1000 < _faults()  # of 16384 pages of 4 KiB
