"""Train a recipe: in this process, or in one per GPU on one machine or several.

python tracking/train.py --config baseline --mode multiple --nproc 8
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.program import add_ignored, at_least, make_parser
from lib.cli.progress import saying
from lib.test.evaluation.datasets import SCORED, dataset_key, open_dataset
from lib.train.admin.settings import DEVICES, PRECISIONS, Settings
from lib.utils.messages import list_problems

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    from lib.train.trainers.base_trainer import OnEpoch

LAUNCHER = "torch.distributed.elastic.multiprocessing.api"
WITHOUT_MEANING = {
    "--use-lmdb": "a file of make_lmdb.py is read where a data set's folder is absent",
    "--script-prv": "--init-from FILE starts from a checkpoint's weights",
    "--config-prv": "--init-from FILE starts from a checkpoint's weights",
    "--distill": "no network is taught by another here",
    "--script-teacher": "no network is taught by another here",
    "--config-teacher": "no network is taught by another here",
    "--use-wandb": "curves are written for TensorBoard",
    "--local-rank": "--mode multiple starts the processes",
}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, argparse.ArgumentDefaultsHelpFormatter)
    add_ignored(parser, WITHOUT_MEANING)
    add = parser.add_argument
    add("--script", default="aiatrack", choices=["aiatrack"], help=argparse.SUPPRESS)
    add("--config", default="baseline", help="recipe in experiments/aiatrack, or a YAML file")
    add("--save-dir", type=Path, default=Settings.save_dir, help="for checkpoints, logs, curves")
    add("--device", choices=DEVICES, default="auto", help="auto: GPUs if there are any")
    group = parser.add_argument_group("processes")
    add = group.add_argument
    add("--mode", choices=("single", "multiple"), default="single", help="one process or several")
    nproc_help = "with --mode multiple: processes here; default: visible GPUs"
    add("--nproc", "--nproc-per-node", type=int, help=nproc_help)
    add("--nnodes", type=int, default=1, help="machines")
    add("--node-rank", type=int, default=0, help="this machine's number, 0 leads")
    add(
        "--rdzv-endpoint",
        type=str,
        default="",
        help="host:port of machine 0, if --nnodes is above 1",
    )
    add_training_arguments(parser.add_argument_group("training; what is not given is the recipe's"))
    group = parser.add_argument_group("looking on")
    add = group.add_argument
    every = "epochs after which a few sequences are tracked, their AUC logged; default: never"
    add("--track-every", type=at_least(1), metavar="N", help=every)
    sets = f"test set they are of: {', '.join(SCORED)}"
    add("--track-set", type=dataset_key, choices=SCORED, default="own", help=sets, metavar="NAME")
    parsed = parser.parse_args(arguments)
    if parsed.nnodes > 1 and not (parsed.rdzv_endpoint and parsed.mode == "multiple"):
        parser.error("--nnodes above 1 needs --mode multiple and --rdzv-endpoint HOST:PORT")
    if not 0 <= parsed.node_rank < parsed.nnodes:
        parser.error(f"--node-rank must be in 0..{parsed.nnodes - 1}; given: {parsed.node_rank}")
    if parsed.nproc is not None and (parsed.mode == "single" or parsed.nproc < 1):
        parser.error(f"--nproc {parsed.nproc} needs --mode multiple and at least 1")
    return parsed


def add_training_arguments(group: argparse._ArgumentGroup) -> None:
    """Add what changes how a recipe is trained."""
    add = group.add_argument
    add("--batch-size", type=int, help="samples per process and forward pass")
    add("--accumulate", type=int, default=1, help="forward passes per update")
    add("--epochs", type=int, help="epochs in all")
    add("--until", type=int, help="end after this epoch, as if the rest were still to come")
    by_time = "end after S seconds, the schedule with them, in any epoch; no validation"
    add("--until-seconds", type=int, metavar="S", help=by_time)
    add("--samples", type=int, help="samples per epoch, over all processes")
    add("--workers", type=int, help="loading processes per process")
    add("--precision", choices=PRECISIONS, default="off", help="autocast; off is fp32")
    add("--compile", action="store_true", help="torch.compile")
    add("--channels-last", action="store_true", help="memory format of the convolutions")
    add("--fused", action=argparse.BooleanOptionalAction, help="AdamW in one kernel (yes)")
    add("--plain", action="store_true", help="on CPUs: the layers as the paper has them, slower")
    add("--sync-bn", action="store_true", help="the heads' batch norm over all GPUs' batches")
    add("--seed", type=int, default=42, help="of everything random")
    add("--keep", type=int, default=3, help="newest checkpoints kept, beside every 100th")
    add("--init-from", type=Path, help="fine-tune: start from this checkpoint's weights")
    add("--continue-from", type=Path, help="go on from a released checkpoint, moments included")
    add("--backbone-weights", type=Path, help="ImageNet weights of the backbone")


def main(arguments: list[str] | None = None) -> int:
    """Train and return the exit status: 0, 1 on failure, 128 + signal if told to stop."""
    parsed = parse_arguments(arguments)
    try:
        settings = Settings(**{f.name: getattr(parsed, f.name) for f in fields(Settings)})
        on_epoch = look_on(parsed)
        from lib.train.inputs import check_inputs

        check_inputs(settings)
    except (OSError, ValueError) as error:
        print(f"error: {list_problems(str(error).splitlines())}", file=sys.stderr)
        return 1
    multiple = parsed.mode == "multiple"
    result = run_multiple(parsed, settings, on_epoch) if multiple else run(settings, on_epoch)
    if isinstance(result, int):
        return result
    if "IoU" in result:
        print(f"mean IoU of the last epoch looked at: {result['IoU']:.3f}")
    return 0


def told_by_itself(error: ChildFailedError) -> bool:
    """Whether the processes that failed have told why, as `run` does before it exits with 1."""
    _, first = error.get_first_failure()
    return first.exitcode == 1 and not any(f.error_file_data for f in error.failures.values())


def look_on(parsed: argparse.Namespace) -> OnEpoch | None:
    """What to do after epochs; ValueError if none of the sequences can be scored."""
    if parsed.track_every is None:
        return None
    from lib.tools.track_in_training import TrackSequences, few

    if not few(open_dataset(parsed.track_set)):
        raise ValueError(f"--track-set {parsed.track_set}: no sequence has boxes to score against")
    return TrackSequences(parsed.track_set, parsed.track_every)


def run(settings: Settings, on_epoch: OnEpoch | None = None) -> dict[str, float]:
    """Train in this process; torch is imported now that the arguments are known to be right."""
    with saying("loading PyTorch"):
        from lib.train import run_training

    return run_training.run(settings, on_epoch=on_epoch)


def run_multiple(
    parsed: argparse.Namespace, settings: Settings, on_epoch: OnEpoch | None
) -> dict[str, float] | int:
    """Run one process per GPU through torchrun's launcher; an exit status if one fails."""
    import torch
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    gpus = 0 if settings.device == "cpu" else torch.cuda.device_count()
    nproc = parsed.nproc or gpus or 1
    several_machines = parsed.nnodes > 1
    logging.getLogger(LAUNCHER).setLevel(logging.CRITICAL)  # failures are told here, once
    with tempfile.TemporaryDirectory() as folder:  # of the launcher's error files
        config = LaunchConfig(
            min_nodes=parsed.nnodes,
            max_nodes=parsed.nnodes,
            nproc_per_node=nproc,
            run_id=f"aiatrack-{settings.name}",
            rdzv_backend="static" if several_machines else "c10d",
            rdzv_endpoint=parsed.rdzv_endpoint or "localhost:0",  # 0: any free port
            rdzv_configs={"rank": parsed.node_rank} if several_machines else {},
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
        )
        try:
            results = elastic_launch(config, run)(settings, on_epoch)
        except ChildFailedError as error:
            if not told_by_itself(error):
                print(error, file=sys.stderr)  # which rank, and its traceback
            return 1
        except SignalException as stopped:
            return 128 + stopped.sigval
    return results.get(0) or {}


if __name__ == "__main__":
    sys.exit(main())
