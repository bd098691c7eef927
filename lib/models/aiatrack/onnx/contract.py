"""What the two ONNX files hold: names of inputs and outputs, and what a file says of itself.

graphs.py has the graphs, export.py writes them, session.py runs them; nothing here imports torch.
"""

import importlib.util
import json
from typing import Any, NamedTuple

from easydict import EasyDict

from lib.config.aiatrack.config import flatten

PACKAGES = ("onnx", "onnxscript")  # of the export
FORMAT = 2  # of names, shapes and facts
METADATA = "aiatrack"  # the key of an ONNX file's metadata under which its facts stand
INPUTS = {
    "memorize": ["image", "mask", "box"],
    "track": ["image", "mask", "long_key", "long_value", "long_inner_pos"],
}
INPUTS["track"] += ["short_key", "short_value", "short_inner_pos"]
OUTPUTS = {
    "memorize": ["long_key", "long_value", "short_key", "short_value", "inner_pos"],
    "track": ["box", "score", "own_key", "own_value", "own_inner_pos"],
}


class GraphFacts(NamedTuple):
    """What a file must say so that it is not run for something else."""

    graph: str  # "memorize" or "track"
    recipe: str  # name
    settings: dict[str, Any]  # see `network_settings`
    ensemble: int  # R, short-term references
    origin: dict[str, Any]  # weights, code and versions it was made with
    format: int = FORMAT

    def to_text(self) -> str:
        return json.dumps(self._asdict(), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> "GraphFacts":
        """Read what `to_text` wrote. Raises ValueError for anything else or another format."""
        try:
            facts = cls(**json.loads(text))
        except TypeError as error:
            raise ValueError(f"facts of another format than {FORMAT}: {error}") from error
        if facts.format != FORMAT:
            raise ValueError(f"facts of format {facts.format}; {FORMAT} is read here")
        return facts


def network_settings(cfg: EasyDict) -> dict[str, Any]:
    """What a recipe says of the network and its window: keys such as "MODEL.HIDDEN_DIM"."""
    chosen = {"MODEL": cfg.MODEL, "DATA": {name: cfg.DATA[name] for name in ("MEAN", "STD")}}
    chosen["TEST"] = {name: cfg.TEST[name] for name in ("SEARCH_FACTOR", "SEARCH_SIZE")}
    return json.loads(json.dumps(flatten(chosen)))  # tuples are lists, as when read again


def require_packages() -> None:
    """Raise RuntimeError if a package for the export is missing; says how to install it."""
    absent = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if absent:
        raise RuntimeError(f"the export needs packages: `pip install {' '.join(absent)}`")
