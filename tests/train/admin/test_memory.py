"""Guards freed memory: kept, it comes back without page faults; else as the C library likes."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# Page faults of asking for 64 MiB ten times, once it has been asked for, in two ways.
PROGRAM = """
import resource

from lib.train.admin.memory import keep_freed_memory

SIZE = 2**26


def faults():
    b"x" * SIZE
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        b"x" * SIZE
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


returned = faults()
keep_freed_memory()
print(returned, faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
def test_freed_memory_is_kept() -> None:
    """In a process of its own: what was set before, and memory that is there, would count."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    returned, kept = map(int, done.stdout.split())
    assert 5 * kept < returned
