"""The settings of one run beside its recipe: where to save, on what device, what to override."""

from dataclasses import dataclass
from pathlib import Path

from easydict import EasyDict

from lib.config.aiatrack.config import LARGEST, load_config, recipe_name
from lib.utils.messages import shorten
from lib.utils.paths import PROJECT_ROOT

PRECISIONS = ("off", "bf16", "fp16")
DEVICES = ("auto", "cpu", "cuda")
MINIMUMS = {
    **dict.fromkeys(("batch_size", "accumulate", "epochs", "until", "samples", "keep"), 1),
    "until_seconds": 1,
    "workers": 0,
    "seed": 0,
}
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Settings:
    """One training run. None leaves the recipe's value."""

    config: str = "baseline"  # a recipe's name, or the path of a YAML file
    save_dir: Path = PROJECT_ROOT  # holds checkpoints/, logs/ and tensorboard/
    device: str = "auto"
    batch_size: int | None = None  # samples per process and forward pass
    accumulate: int = 1  # forward passes per update
    epochs: int | None = None
    until: int | None = None  # the epoch after which this run ends, the schedule unchanged
    until_seconds: int | None = None  # the time after which it ends, and the schedule with it
    samples: int | None = None  # per epoch, over all processes
    workers: int | None = None  # loading processes per process
    precision: str = "off"  # of the network's matrix products under autocast; off is fp32
    compile: bool = False
    channels_last: bool = False
    fused: bool | None = None  # AdamW in one kernel, with other last bits; None: unless plain
    plain: bool = False  # on CPUs: the network as the paper has it, without what makes it faster
    sync_bn: bool = False  # the heads' batch norm takes its statistics over all GPUs
    seed: int = 42
    keep: int = 3  # newest checkpoints kept, beside every 100th
    init_from: Path | None = None
    continue_from: Path | None = None  # a released checkpoint: weights, moments and epoch
    backbone_weights: Path | None = None

    def __post_init__(self) -> None:
        """Raise ValueError, with the setting, its value and what is allowed, if one cannot work."""
        for name, minimum in MINIMUMS.items():
            value = getattr(self, name)
            largest = LARGEST_SEED if name == "seed" else LARGEST
            if value is not None and not minimum <= value <= largest:
                limit = f"least {minimum}" if value < minimum else f"most {largest}"
                raise ValueError(f"{name} must be at {limit}; given: {shorten(value)}")
        if self.until and self.until_seconds:
            raise ValueError("until and until_seconds are two ends; give one of them")
        if self.init_from and self.continue_from:
            raise ValueError("init_from and continue_from are two starts; give one of them")
        for name, allowed in (("precision", PRECISIONS), ("device", DEVICES)):
            if (value := getattr(self, name)) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}; given: {value!r}")

    @property
    def name(self) -> str:
        """The recipe's name, which names the folders."""
        return recipe_name(self.config)

    @property
    def checkpoint_folder(self) -> Path:
        return self.save_dir / "checkpoints" / "train" / "aiatrack" / self.name

    @property
    def tensorboard_folder(self) -> Path:
        return self.save_dir / "tensorboard" / "train" / "aiatrack" / self.name

    @property
    def log_file(self) -> Path:
        """This run's text log; a resumed run appends to it."""
        return self.save_dir / "logs" / f"aiatrack-{self.name}.log"

    def recipe(self) -> EasyDict:
        """Read the recipe and lay this run's overrides over it; raises as `load_config`."""
        cfg = load_config(self.config)
        for section, key, value in (
            (cfg.TRAIN, "BATCH_SIZE", self.batch_size),
            (cfg.TRAIN, "EPOCH", self.epochs),
            (cfg.TRAIN, "NUM_WORKER", self.workers),
            (cfg.DATA.TRAIN, "SAMPLE_PER_EPOCH", self.samples),
        ):
            if value is not None:
                section[key] = value
        return cfg
