"""Guards how a training's failures are told: users' mistakes in one line, bugs with a traceback."""

import numpy as np
import pytest
import torch

from lib.checkpoint.files import read_checkpoint
from lib.train.data.loader import build_loader
from lib.train.data.sampler import SamplingError
from lib.train.failures import is_users, told_failures
from lib.utils.stopping import Stopped


class NoSample:
    """Fails as a sampler does that finds nothing."""

    def draw(self, generator: np.random.Generator):
        raise SamplingError("no sample in 100 draws")


def load_in_a_worker():
    next(iter(build_loader(NoSample(), batch_size=1, workers=1, seed=0, epoch_length=1)))


def raising(error: Exception):
    def fail():
        raise error

    return fail


CASES = [  # what fails, what is said of it
    (lambda: read_checkpoint("/none"), "no checkpoint at /none"),
    (raising(FileNotFoundError("no frames")), "no frames"),
    (raising(torch.OutOfMemoryError("CUDA out of memory")), "CUDA out of memory"),
    (raising(MemoryError()), "MemoryError"),
    (raising(RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed.")), "is killed"),
    (load_in_a_worker, "no sample in 100 draws"),
]
BUGS = [
    KeyError("x"),
    TypeError("x"),
    RuntimeError("shapes"),
    ValueError("of a library"),
    AssertionError(),
]


@pytest.mark.parametrize(("fail", "said"), CASES, ids=[case[1] for case in CASES])
def test_what_a_user_can_mend(fail, said, caplog):
    with pytest.raises(SystemExit) as end, told_failures(bugs=True):
        fail()
    (record,) = caplog.records
    assert end.value.code == 1 and record.exc_info is None
    assert said in record.getMessage() and "\n" not in record.getMessage()


@pytest.mark.parametrize("bug", BUGS, ids=repr)
def test_bugs_keep_their_traceback(bug, caplog):
    with pytest.raises(type(bug)), told_failures(bugs=True):
        raise bug
    (record,) = caplog.records
    assert record.exc_info is not None and not is_users(bug)


def test_a_stop_signal_gives_the_status(caplog):
    with pytest.raises(SystemExit) as end, told_failures(bugs=True):
        raise Stopped(15)
    assert end.value.code == 143 and "stopped by SIGTERM" in caplog.text
