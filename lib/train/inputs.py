"""What a training reads, looked for before anything slow begins."""

from lib.train.admin.environment import find_data
from lib.train.admin.settings import Settings
from lib.train.dataset import check_present

FILES = ("init_from", "continue_from", "backbone_weights")


def check_inputs(settings: Settings) -> None:
    """Read the recipe, and look for the files and data sets that a run names.

    Raises:
        ConfigError, ValueError: the recipe, or its overrides, cannot be.
        FileNotFoundError: something is missing; names the option, or the setting of its path.
    """
    cfg = settings.recipe()
    for name in FILES:
        path = getattr(settings, name)
        if path is not None and not path.is_file():
            raise FileNotFoundError(f"no file {path} (--{name.replace('_', '-')})")
    for part in (cfg.DATA.TRAIN, cfg.DATA.VAL):
        for name, ratio in zip(part.DATASETS_NAME, part.DATASETS_RATIO, strict=True):
            if ratio:
                check_present(name, find_data)
