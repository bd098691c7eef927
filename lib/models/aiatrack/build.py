"""From a checked recipe to the network: the one place where configuration meets modules."""

from easydict import EasyDict

from lib.models.aiatrack.aiatrack import AiATrack
from lib.models.aiatrack.backbone import Backbone
from lib.models.aiatrack.initialization import init_iou_head, init_transformer
from lib.models.aiatrack.transformer import LayerOptions


def build_aiatrack(cfg: EasyDict, *, pretrained_backbone: bool = False) -> AiATrack:
    """Make the network of a recipe, in training mode, on the CPU.

    Args:
        cfg: from `lib.config.aiatrack.config.load_config`.
        pretrained_backbone: start from ImageNet weights (fetched unless cached).
    """
    backbone = Backbone(
        cfg.MODEL.BACKBONE.TYPE,
        pretrained=pretrained_backbone,
        frozen=tuple(cfg.TRAIN.FREEZE_LAYERS),
        freeze_bn=cfg.TRAIN.FREEZE_BACKBONE_BN,
    )
    aia = cfg.MODEL.AIA
    options = LayerOptions(
        dim=cfg.MODEL.HIDDEN_DIM,
        heads=cfg.MODEL.TRANSFORMER.NHEADS,
        feedforward=cfg.MODEL.TRANSFORMER.DIM_FEEDFORWARD,
        tokens=aia.FEAT_SIZE,
        match_dim=aia.MATCH_DIM,
        dropout=cfg.MODEL.TRANSFORMER.DROPOUT,
        aia_self=aia.USE_AIA and aia.WHERE != "cross",
        aia_cross=aia.USE_AIA and aia.WHERE != "self",
    )
    mean, std = tuple(cfg.DATA.MEAN), tuple(cfg.DATA.STD)
    coverage = cfg.MODEL.TARGET_CELLS == "coverage"
    layers = cfg.MODEL.TRANSFORMER.ENC_LAYERS
    sharp = cfg.MODEL.SCORE == "iou_sharpness"
    model = AiATrack(backbone, layers, options, mean, std, coverage=coverage, score_sharpness=sharp)
    init_transformer(model.transformer)
    init_iou_head(model.iou_head)
    return model
