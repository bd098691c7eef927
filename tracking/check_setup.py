"""Check this machine: what does not work and the command that fixes it, and what works.

    python tracking/check_setup.py
    python tracking/check_setup.py --all                               # with paths and versions
    python tracking/check_setup.py --need otb,lasot,weights:baseline   # for scripts
    python tracking/check_setup.py --need LASOT,COCO17,gpu --full

Also tracks a short clip on the CPU and every GPU, to compare with stored boxes.

Exit status: 0 fine; 1 something is broken (FAIL); 2 wrong usage. Data and weights that are missing
or not whole count as broken only if --need names them.
"""

import argparse
import logging
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

FIX = "      -> bash install.sh"

try:
    from lib.cli.program import USERS_ERRORS, make_parser, run_program
    from lib.cli.progress import progress, saying
    from lib.config.aiatrack.config import recipe_names
    from lib.test.evaluation.environment import FOLDERS
    from lib.tools.setup.data import check_test_set
    from lib.tools.setup.findings import FAIL, NOTE, OK, WARN, Finding
    from lib.train.admin.environment import FOLDERS as TRAIN_FOLDERS
    from lib.train.admin.environment import find_data
    from lib.train.dataset import SETTINGS, build_dataset
except ImportError as missing:
    sys.exit(f"FAIL  {missing}\n{FIX}")

NEEDS = ["gpu", "pooling", *(f"weights:{r}" for r in recipe_names()), *FOLDERS, *SETTINGS]
SUBJECT_WIDTH = 18  # characters


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    needs = f"must be there: {', '.join(NEEDS)} (lower case: test sets; upper case: training sets)"
    add("--need", type=str, default="", metavar="NAME,...", help=needs)
    add("--full", action="store_true", help="look at every sequence of all sets that are there")
    add("--checkpoint", type=Path, help="say which recipe this file fits")
    add("--all", action="store_true", help="show what is fine, and notes, in full too")
    add("--no-self-test", action="store_true", help="leave out the self-test clip")
    args = parser.parse_args()
    args.need = {name for name in args.need.split(",") if name}
    if unknown := sorted(args.need - set(NEEDS)):
        parser.error(f"--need knows {', '.join(NEEDS)}; given: {', '.join(unknown)}")
    return args


def check_training_sets(need: set[str], full: bool) -> list[Finding]:
    """Look at every folder of training data once, and at each set in those that are there."""
    findings = []
    for setting, folder in TRAIN_FOLDERS.items():
        names = [name for name, path in SETTINGS.items() if path == setting]
        try:
            place = find_data(setting)
        except ValueError as error:  # a path that is empty
            findings.append(
                Finding(FAIL, setting, str(error), f"unset AIATRACK_{setting.upper()}_DIR")
            )
            continue
        where = f"{place.path} (from {place.source.split(';')[0]})"
        if setting == "demo":
            findings.append(Finding(OK, setting, f"{where}: made when first used"))
        elif not place.path.exists():
            level = FAIL if need & set(names) else NOTE
            fix = f"export AIATRACK_{setting.upper()}_DIR=/path/to/{folder}  (docs/data.md)"
            text = f"not there: {where}; for {', '.join(names)}"
            findings.append(Finding(level, setting, text, fix))
        else:
            findings += [check_training_set(name, where, name in need, full) for name in names]
    return findings


def check_training_set(name: str, where: str, needed: bool, full: bool) -> Finding:
    """Look at a training set; opened, and its index made, only if needed or wanted."""
    if not needed and not full:
        return Finding(OK, name, f"{where}: there, not opened (--full or --need {name} does)")
    try:
        dataset = build_dataset(name, find_data)
        for sequence in {0, len(dataset) // 2, len(dataset) - 1}:
            dataset.read_frame(sequence, 0)
    except USERS_ERRORS as error:
        fix = "unpack that data set again  (docs/data.md)"
        return Finding(FAIL if needed else WARN, name, f"{where}: {error}", fix)
    frames = int(dataset.lengths.sum())
    text = f"{where}: {len(dataset)} sequences, {frames} frames, a box each"
    if not dataset.notes:
        return Finding(OK, name, text)
    text = "\n  ".join([text, *(f"left out: {note}" for note in dataset.notes)])
    return Finding(FAIL if needed else WARN, name, text, "mend or remove what is left out")


def check_sets(need: set[str], full: bool) -> Iterator[tuple[str, list[Finding]]]:
    sets = progress(list(FOLDERS), "looking at test sets", unit="sets")
    yield "Data sets to test on", [check_test_set(n, needed=n in need, full=full) for n in sets]
    with saying("looking at training sets"):
        found = check_training_sets(need, full)
    yield "Data sets to train on", found


def check_all(args: argparse.Namespace) -> Iterator[tuple[str, list[Finding]]]:
    """What is found, by the title of its part of the page; ImportError if there is no torch."""
    with saying("loading PyTorch"):
        import torch

        from lib.tools.setup import machine
        from lib.tools.setup.weights import check_checkpoint, check_checkpoints

    yield "Software", [*machine.check_software(), machine.check_jpeg()]
    yield "Devices", [*machine.check_devices(args.need), machine.check_pooling(args.need)]
    if not args.no_self_test:
        names = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        with saying("tracking the self-test clip"):
            numerics = [machine.check_numerics(torch.device(name)) for name in names]
        yield "Numerics: a clip with stored boxes", numerics
    with saying("reading weights"):
        weights = check_checkpoints([n[8:] for n in args.need if n.startswith("weights:")])
        weights += [check_checkpoint(args.checkpoint)] if args.checkpoint else []
    yield "Weights", weights
    yield from check_sets(args.need, args.full)
    yield "Folders to write to", machine.check_folders()


def show(title: str, findings: list[Finding]) -> None:
    print(f"\n{title}")
    for finding in findings:
        print(f"  {finding.level:5} {finding.subject:{SUBJECT_WIDTH}} {finding.text}")
        if finding.fix:
            print(f"  {'':5} {'':{SUBJECT_WIDTH}} -> {finding.fix}")


def fold(findings: list[Finding], level: str) -> Finding:
    """Name the findings of a level, other than a problem's, in one."""
    subjects = [finding.subject for finding in findings if finding.level == level]
    names = textwrap.fill(", ".join(dict.fromkeys(subjects)), 74, break_on_hyphens=False)
    indented = names.replace("\n", f"\n{'':{SUBJECT_WIDTH + 9}}")
    return Finding(level, {OK: "fine", NOTE: "not there or used"}[level], indented)


def main() -> int:
    """Check everything, print the page, return the exit status."""
    args = parse_arguments()
    logging.basicConfig(level=logging.CRITICAL)
    try:
        parts = dict(check_all(args))
    except ImportError as missing:
        sys.exit(f"FAIL  {missing}\n{FIX}")
    findings = [finding for part in parts.values() for finding in part]
    # Problems first, then everything, or the rest in a line for each kind.
    problems = [finding for level in (FAIL, WARN) for finding in findings if finding.level == level]
    show("Problems" if problems else "No problems", problems)
    if not args.all:
        parts = {"The rest (--all shows it)": [fold(findings, NOTE), fold(findings, OK)]}
    for title, part in parts.items():
        show(title, part)
    counts = {level: sum(f.level == level for f in findings) for level in (FAIL, WARN, NOTE)}
    print(f"\n{counts[FAIL]} broken, {counts[WARN]} incomplete, {counts[NOTE]} notes")
    return 1 if counts[FAIL] else 0


if __name__ == "__main__":
    run_program(main)
