"""The test sets by name: to run a tracker on (`open_dataset`) and to score (`open_annotations`).

Source: docs/method.md, section 7. layouts.py reads them, environment.py says where they are.
"""

import re
from pathlib import Path

from lib.test.evaluation.base_set import TestSet
from lib.test.evaluation.environment import dataset_path
from lib.test.evaluation.layouts import LAYOUTS

# The annotation of GOT-10k's test split is with its server alone.
SCORED = tuple(name for name in LAYOUTS if name != "got10k_test")
# What others call them, in lower case without hyphens and underscores.
OTHER_NAMES = {
    **{"otb100": "otb", "otb2015": "otb", "nfs30": "nfs", "uav123": "uav", "lasottest": "lasot"},
    **dict.fromkeys(("lasotext", "lasotextension", "lasotextensionsubset"), "lasot_ext"),
    **{"trackingnettest": "trackingnet", "got10k": "got10k_test"},
}


def dataset_key(name: str) -> str:
    """The key in LAYOUTS for a test set's name as papers and other programs write it.

    E.g. "OTB100" and "GOT-10k_test"; a name that is unknown stays as it is.
    """
    plain = {key.replace("_", ""): key for key in LAYOUTS} | OTHER_NAMES
    return plain.get(re.sub(r"[-_ ]", "", name).lower(), name)


def open_dataset(dataset: str, root: Path | None = None) -> TestSet:
    """Open a test set of LAYOUTS, in `root` or where the settings say, to `load(name)` sequences.

    Raises:
        ValueError: unknown name, or a list of sequences that cannot be read.
        FileNotFoundError: its folder or its list is not there; names the setting of the path.
    """
    if dataset not in LAYOUTS:
        raise ValueError(f"unknown test set {dataset!r}; there are: {', '.join(LAYOUTS)}")
    root = root or dataset_path(dataset).require(f"test set {dataset}")
    test_set = LAYOUTS[dataset](dataset, root)
    if not test_set.names:
        raise FileNotFoundError(f"test set {dataset}: no sequence in {root}")
    return test_set


def open_annotations(dataset: str, root: str | Path) -> TestSet:
    """Open a test set to score results against `truth(name)`.

    Args:
        dataset: one of SCORED.
        root: the data set's folder, or a copy of its text files. For LaSOT also the folder of the
            official toolkit's `annos/` and `absent/`.

    Raises:
        ValueError, FileNotFoundError: see `open_dataset`.
    """
    if dataset not in SCORED:
        raise ValueError(f"no annotation of {dataset!r} to score with; of {', '.join(SCORED)}")
    if not Path(root).is_dir():
        raise FileNotFoundError(f"no such folder: {root} (annotation of {dataset})")
    return open_dataset(dataset, Path(root))


def select_names(test_set: TestSet, selection: str | None) -> tuple[str, ...]:
    """Choose sequences by name, with or without the set's prefix ("Crossing", "otb_Crossing").

    Args:
        selection: names or indices from 0, separated by commas; None for all.

    Raises:
        ValueError: no such sequence; the message lists similar names.
    """
    if selection is None:
        return test_set.names
    chosen = []
    for name in selection.split(","):
        name = name.strip()
        matches = [n for n in test_set.names if name in (n, n.removeprefix(f"{test_set.dataset}_"))]
        if not matches and name.isdigit() and int(name) < len(test_set.names):
            matches = [test_set.names[int(name)]]
        if not matches:
            similar = [n for n in test_set.names if name[:3].lower() in n.lower()][:8]
            raise ValueError(
                f"test set {test_set.dataset} has no sequence {name!r} among its "
                f"{len(test_set.names)}; similar: {', '.join(similar) or 'none'}"
            )
        chosen += matches
    return tuple(dict.fromkeys(chosen))
