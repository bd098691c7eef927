"""Guards the layers that GPUs fuse: the numbers without, and going on where they do not work."""

import pytest
import torch

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.fast import support
from lib.models.aiatrack.fast.cudnn import FusedConv2d, FusedLinear, fuse_layers
from lib.models.aiatrack.fast.factored import optimize_network
from tests.gpu_stand_ins import stand_in_for_cudnn
from tests.models.fast.test_support import find

CPU = torch.device("cpu")


def test_whole_network(tiny_model: AiATrack, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_cudnn(monkeypatch)
    fast = optimize_network(tiny_model)
    fuse_layers(fast, CPU)
    fused = [m for m in fast.modules() if isinstance(m, FusedConv2d) and m.relu]
    assert len(fused) > 10 and all(m.conv.weight.ndim == 4 for m in fused)
    # The encoder's two layers, the decoder's one, and the IoU head's.
    assert sum(isinstance(m, FusedLinear) and m.relu for m in fast.modules()) == 4
    for got, expected in zip(find(fast), find(tiny_model), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("failure", ["missing", "wrong", "refused"])
def test_where_the_fusions_do_not_work(
    failure: str,
    tiny_model: AiATrack,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The network stays as it is, and one line says why."""

    def refuse(*_: object) -> None:
        raise RuntimeError("no engine\nand much more")

    found = {"missing": None, "wrong": lambda x, *_: torch.zeros_like(x), "refused": refuse}
    fast = optimize_network(tiny_model)
    monkeypatch.setattr(support, "private", lambda _: found[failure])
    with caplog.at_level("WARNING"):
        fuse_layers(fast, CPU)
    assert not any(isinstance(m, FusedConv2d | FusedLinear) for m in fast.modules())
    assert caplog.text.count("torch cannot fuse layers here, going on without it: ") == 1
    assert "much more" not in caplog.text
