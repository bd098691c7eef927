"""Tables of which sequences belong to which split: lib/train/data_specs/*.txt."""

from pathlib import Path

from lib.io.listing import read_text, split_lines
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
    return split_lines(read_text(path))


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
    names = split_lines(store.read_text(f"{folder}/list.txt"))
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
    """Name the sequences of TrackingNet's numbered training sets: "TRAIN_0/<id>".

    Raises:
        FileNotFoundError: one of the sets is missing; says how to train on a part.
    """
    names = []
    for number in sets:
        try:
            files = store.names(f"TRAIN_{number}/anno")
        except FileNotFoundError as error:
            part = "for a part of them, put TRACKINGNET_0_3 (TRAIN_0 to TRAIN_3) in the recipe"
            needed = f"TRAIN_{sets[0]} to TRAIN_{sets[-1]} are needed; {part}"
            raise FileNotFoundError(f"{error}: {needed}") from error
        names += [f"TRAIN_{number}/{name[:-4]}" for name in files if name.endswith(".txt")]
    return names
