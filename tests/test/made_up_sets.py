"""Tiny copies of benchmarks' annotations and results, in their real formats on disk."""

from pathlib import Path

from lib.test.evaluation.base_set import read_names, read_rows

BOXES = "10,20,30,40\n12,22,30,40\n14,24,30,40\n"  # three frames
LASOT_NAMES = read_names("lasot_test.txt")


def write(path: Path, text: str) -> Path:
    """Write a text file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def lasot_toolkit(root: Path, names: list[str], absent: str = "0\n0\n1\n") -> Path:
    """Annotation in the layout of LaSOT's toolkit."""
    for name in names:
        write(root / "annos" / f"{name}.txt", BOXES)
        write(root / "absent" / f"{name}.txt", absent)
    return root


def lasot_own(root: Path, names: list[str], occluded: str = "0,1,0") -> Path:
    """Annotation in LaSOT's own layout: occluded in frame 1, out of view in frame 2."""
    for name in names:
        folder = root / name.rsplit("-", 1)[0] / name
        write(folder / "groundtruth.txt", BOXES)
        write(folder / "full_occlusion.txt", f"{occluded}\n")
        write(folder / "out_of_view.txt", "0,0,1\n")
    return root


def table_set(dataset: str, root: Path, separator: str) -> Path:
    """Annotation of all sequences of OTB100, NfS30 or UAV123; three frames after those omitted."""
    for row in read_rows(f"{dataset}.csv").values():
        omitted = "1,1,1,1\n" * int(row["init_omit"])
        write(root / row["annotation"], (omitted + BOXES).replace(",", separator))
    return root


def got10k_val(root: Path, names: list[str]) -> Path:
    """Annotation of a validation set of 100 x 100 images; frame 2 is covered."""
    write(root / "val" / "list.txt", "".join(f"{name}\n" for name in names))
    for name in names:
        folder = root / "val" / name
        write(folder / "groundtruth.txt", BOXES.replace(",", ".0000,"))
        write(folder / "cover.label", "8\n8\n0\n")
        write(folder / "absence.label", "0\n0\n1\n")
        write(
            folder / "meta_info.ini",
            "[METAINFO]\nurl: https://a.b/?q=%20\nobject_class: canoe\nroot_class: vehicle\n"
            "resolution: (100, 100)\n",
        )
    return root


def results(folder: Path, names: list[str], shift: float = 0.0) -> Path:
    """Result files: the annotation of `BOXES`, moved to the right."""
    rows = [(10 + shift, 20), (12 + shift, 22), (14 + shift, 24)]
    for name in names:
        write(folder / f"{name}.txt", "".join(f"{x:g}\t{y}\t30\t40\n" for x, y in rows))
    return folder
