"""Score results: tables, plots, comparisons.

    python tracking/analysis_results.py
    python tracking/analysis_results.py --dataset lasot --protocol lasot otb --per-attribute
    python tracking/analysis_results.py --dataset lasot --param baseline mine --compare
    python tracking/analysis_results.py --dataset lasot --annotations DIR --results DIR --json
    python tracking/analysis_results.py --dataset otb --html report.html

Without arguments: OTB100, NfS30 and UAV123 of aiatrack baseline. Results are looked for in
<results>/<tracker>/<param>/<dataset>/ and, as the official ones lie, without the last folder.
Exit status 1 if sequences are missing or their files cannot be used (0 with --allow-missing); the
others are scored. A result that changed since tracking/test.py wrote it counts as missing.
"""

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.program import at_least, make_parser, run_program
from lib.cli.progress import progress
from lib.test.analysis import report as reports
from lib.test.analysis import tables
from lib.test.analysis.extract_results import FIGURES, Run
from lib.test.analysis.protocols import PROTOCOLS
from lib.test.evaluation.datasets import SCORED, dataset_key
from lib.tools.runs import add_run_arguments, make_runs
from lib.utils.files import atomic_write_text, check_outputs
from lib.utils.paths import PROJECT_ROOT

FORMATS = ("json", "csv", "latex")
MAX_NAMED = 12  # missing sequences, beside a table
PLOTS = PROJECT_ROOT / "test" / "result_plots"


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add_names = partial(add, nargs="+", metavar="NAME")
    add_folder = partial(add, metavar="DIR", type=Path)
    sets = f"of {', '.join(SCORED)} (default: otb nfs uav)"
    default = ["otb", "nfs", "uav"]
    named: Any = {"type": dataset_key, "choices": SCORED, "help": sets}
    add_names("--dataset", "--dataset_name", default=default, **named)
    add_run_arguments(parser)
    protocols = f"of {', '.join(PROTOCOLS)}, side by side (default: the paper's for each data set)"
    add_names("--protocol", default=[], choices=PROTOCOLS, help=protocols)
    add_folder("--annotations", help="data set's folder, without images; LaSOT's toolkit files too")
    add_folder("--plots", default=PLOTS, help="default: test/result_plots")
    for kind in FORMATS:
        target = f"write {kind.upper()} to a file, or instead of the tables"
        add(f"--{kind}", nargs="?", const="-", metavar="FILE", help=target)
    add("--html", type=Path, metavar="FILE", help="one page of this, and of the worst sequences")
    add("--overwrite", action="store_true", help="replace files that exist; plots always are")
    add("--per-sequence", action="store_true", help="add a row for each sequence")
    add("--per-attribute", action="store_true", help="add a row for each attribute or class")
    changes = "what got better and worse from the first run on, and what is chance (default: AUC)"
    add("--compare", nargs="?", const="AUC", choices=FIGURES, metavar="FIGURE", help=changes)
    add("--no-plots", action="store_true", help="draw nothing")
    add("--digits", type=at_least(0), default=2, help="decimals of the tables (default: 2)")
    add("--allow-missing", action="store_true", help="missing sequences are no failure")
    args = parser.parse_args()
    if sum(getattr(args, kind) == "-" for kind in FORMATS) > 1:
        parser.error("only one of --json, --csv, --latex can do without a FILE")
    return args


def print_report(report: reports.Report, args: argparse.Namespace) -> list[list[tables.Row]]:
    """Print one data set's tables and remarks, draw its plots; return the tables."""
    selected = reports.select_rows(report, groups=args.per_attribute, sequences=args.per_sequence)
    if notes := reports.notes_text(report):
        print(notes, file=sys.stderr)
    if not selected:
        print(reports.missing_text(report), file=sys.stderr)
        print(f"nothing to score on {report.dataset}", file=sys.stderr)
        return []
    if "-" not in (getattr(args, kind) for kind in FORMATS):
        texts = [tables.to_text(rows, args.digits) for rows in selected]
        texts.append(reports.differences_text(report))
        if args.compare:
            groups = args.per_attribute
            texts.append(reports.comparison_text(report, args.compare, groups=groups))
        print("\n\n".join(text for text in texts if text), end="\n\n", flush=True)
    if missing := reports.missing_text(report, MAX_NAMED):
        print(missing, file=sys.stderr)
    if not args.no_plots:
        from lib.test.analysis.plot_results import plot_all  # only this needs Matplotlib

        folder = args.plots / report.dataset
        for protocol in progress(report.protocols, "drawing plots", unit="protocols"):
            plot_all(report.of_protocol(protocol), folder)
        print(f"plots of {report.dataset} are in {folder}", file=sys.stderr)
    return selected


def check_files(args: argparse.Namespace, runs: list[Run]) -> None:
    """Refuse files that exist, or that hold what is scored, before anything is computed."""
    targets = [getattr(args, kind) for kind in (*FORMATS, "html")]
    outputs = [Path(target) for target in targets if target and target != "-"]
    if not any(path.exists() for path in outputs):  # none of them can be one that is read
        return check_outputs(outputs)
    read = [file for run in runs for folder in run.folders for file in folder.rglob("*.txt")]
    read += [args.annotations] if args.annotations else []
    check_outputs(outputs, read, overwrite=args.overwrite)


def to_json(rows: list[tables.Row], compared: list[reports.Report]) -> str:
    """Rows as JSON; those of later runs with their differences from the first in `compared`."""
    extra: dict[tuple[str, ...], dict[str, Any]] = {}
    for report in compared:
        extra |= reports.comparison_records(report)
    keys = [(row.dataset, row.tracker, row.protocol, row.group) for row in rows]
    made = [r | extra.get(key, {}) for r, key in zip(tables.records(rows), keys, strict=True)]
    return json.dumps(made, indent=1) + "\n"


def write_formats(
    tables_made: list[list[tables.Row]], made: list[reports.Report], args: argparse.Namespace
) -> None:
    """Write what --json, --csv and --latex ask for."""
    rows = [row for table in tables_made for row in table]
    writers: dict[str, Callable[[], str]] = {
        "json": lambda: to_json(rows, made if args.compare else []),
        "csv": lambda: tables.to_csv(rows),
        "latex": lambda: "\n".join(tables.to_latex(table) for table in tables_made),
    }
    for kind in FORMATS:
        target = getattr(args, kind)
        if target == "-":
            print(writers[kind](), end="")
        elif target:
            atomic_write_text(Path(target), writers[kind]())


def main() -> int:
    args = parse_arguments()
    runs = make_runs(args)
    if args.compare and len(runs) < 2:
        raise ValueError("--compare needs two or more runs")
    check_files(args, runs)
    failed, tables_made, reports_made = False, [], []
    for dataset in args.dataset:
        try:
            report = reports.make_report(dataset, runs, args.protocol, args.annotations)
        except (OSError, ValueError) as error:
            print(f"error: {dataset}: {error}", file=sys.stderr)
            failed = True
            continue
        made = print_report(report, args)
        tables_made += made
        reports_made += [report] if made else []
        failed |= not made or not (args.allow_missing or reports.is_complete(report))
    write_formats(tables_made, reports_made, args)
    if args.html:
        from lib.test.analysis.html_report import write_html  # only this needs Jinja

        write_html(args.html, reports_made, args.annotations, args.compare or "AUC")
        print(f"the report is {args.html}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    run_program(main)
