"""Names that recipes use: training sets, backbones and their layers.

lib/train/dataset opens the sets. timm, slow to import, is asked about other backbones alone.
"""

from fnmatch import filter as filter_names

DATASETS = """
LASOT GOT10K_vottrain GOT10K_train_full GOT10K_votval GOT10K_val COCO17 TRACKINGNET
OWN_VIDEO OWN_IMAGES DEMO DEMO_VAL
SYNTHETIC SYNTHETIC_VAL SYNTHETIC_IN_PLACE SYNTHETIC_PARTS
SYNTHETIC_PROCEDURAL SYNTHETIC_PROCEDURAL_VAL
""".split()
# Some of TrackingNet's twelve training sets: TRACKINGNET_0_3 is TRAIN_0 to TRAIN_3.
PARTS = [f"TRACKINGNET_{a}_{b}" for a in range(12) for b in range(a, 12)]
# Other spellings: of the released recipes, of STARK's, and of earlier versions of this project.
ALIASES = {
    "GOT10K_vot_train": "GOT10K_vottrain",
    "GOT10K_train": "GOT10K_train_full",
    "GOT10K_vot_val": "GOT10K_votval",
    "GOT10K_official_val": "GOT10K_val",
    "COMPOSED": "SYNTHETIC",
    "COMPOSED_VAL": "SYNTHETIC_VAL",
    "COMPOSED_IN_PLACE": "SYNTHETIC_IN_PLACE",
    "COMPOSED_PARTS": "SYNTHETIC_PARTS",
    "COMPOSED_MADE_UP": "SYNTHETIC_PROCEDURAL",
    "COMPOSED_MADE_UP_VAL": "SYNTHETIC_PROCEDURAL_VAL",
}
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "test_resnet")
RESNET_LAYERS = ("conv1", "bn1", "act1", "maxpool", "layer1", "layer2", "layer3")


def is_dataset(name: object) -> bool:
    """Whether a training set is called so."""
    return name in (*DATASETS, *PARTS, *ALIASES)


def is_backbone(name: str) -> tuple[str, bool]:
    """What is allowed, and whether `name` is: a timm model of any kind."""
    if name in RESNETS:
        return "", True
    import timm  # slow

    similar = timm.list_models(f"*{name.split('.')[0][:6]}*")[:8] if name else []
    known = similar or RESNETS
    return f"a timm model, such as {', '.join(known)}", bool(name) and timm.is_model(name)


def are_layers(backbone: str, layers: list) -> tuple[str, bool]:
    """What is allowed, and whether `layers` are; other backbones check theirs when built."""
    if not all(isinstance(layer, str) for layer in layers):
        return "a list of names", False
    stages = [layer.split(".")[0] for layer in layers]  # of names and of patterns of names
    known = backbone not in RESNETS or all(filter_names(RESNET_LAYERS, s) for s in stages)
    return f"a list of modules of {backbone}: {', '.join(RESNET_LAYERS)}", known
