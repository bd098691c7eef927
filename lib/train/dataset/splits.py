"""Tables of which sequences belong to which split: lib/train/data_specs/*.txt."""

from pathlib import Path

from lib.io.store import Store
from lib.train.dataset.base_dataset import DatasetError

SPECS = Path(__file__).resolve().parents[1] / "data_specs"


def read_split(table: str) -> list[str]:
    """Read a table of one entry per line, such as "lasot_train_split".

    Raises:
        FileNotFoundError: there is no such table; names those there are.
    """
    path = SPECS / f"{table}.txt"
    if not path.is_file():
        existing = ", ".join(sorted(p.stem for p in SPECS.glob("*.txt"))) or "none"
        text = f"no split table {path}; it is part of the repository (there are: {existing})"
        raise FileNotFoundError(text)
    return path.read_text(encoding="utf-8").split()


def got10k_names(
    store: Store, folder: str, table: str | None = None, less: str | None = None
) -> list[str]:
    """Name the sequences of GOT-10k's `folder` ("train" or "val"), from its list.txt.

    Args:
        table: of positions in list.txt, counted from 0; None: all.
        less: a table of positions to leave out.

    Raises:
        DatasetError: the list is shorter than the table needs.
    """
    names = store.read_text(f"{folder}/list.txt").split()
    if table is None:
        return names
    left_out = set(read_split(less)) if less else set()
    positions = [int(entry) for entry in read_split(table) if entry not in left_out]
    if max(positions) >= len(names):
        raise DatasetError(
            f"{store.root / folder / 'list.txt'} names {len(names)} sequences; {table} needs "
            f"{max(positions) + 1}: the data set is not complete"
        )
    return [names[position] for position in positions]


def trackingnet_names(store: Store, sets: range) -> list[str]:
    """Name the sequences of TrackingNet's numbered training sets: "TRAIN_0/<id>"."""
    return [
        f"TRAIN_{number}/{name[: -len('.txt')]}"
        for number in sets
        for name in store.names(f"TRAIN_{number}/anno")
        if name.endswith(".txt")
    ]
