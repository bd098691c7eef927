"""Guards freed memory: kept, it comes back without page faults; else as the C library likes."""

import resource
import sys

import pytest
import torch

from lib.train.admin.memory import keep_freed_memory


def _faults() -> int:
    """Page faults of asking for 64 MiB ten times, after twenty times."""
    for i in range(30):
        if i == 20:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.empty(2**24).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
def test_freed_memory_is_kept() -> None:
    keep_freed_memory()
    kept = _faults()
    keep_freed_memory(keep=False)
    assert 5 * kept < _faults()
