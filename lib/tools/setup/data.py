"""Is a test set whole? Sequences found and expected, frames and annotations, frames that decode.

Neighbours: evaluation/datasets.py knows the layouts, setup_check.py the rest of the machine.
"""

from collections.abc import Callable

from lib.io.video_file import read_frame
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.datasets import TestSet, open_dataset
from lib.test.evaluation.environment import FOLDERS, dataset_path
from lib.tools.setup.machine import FAIL, NOTE, OK, WARN, Finding
from lib.utils.image import ImageError

# Sequences of sets that bring their own list; the others' tables are in evaluation/sequences.
EXPECTED = {"trackingnet": 511, "got10k_test": 180, "got10k_val": 180}
SAMPLE = 10  # sequences of which frames are decoded, unless all are wanted
SHOWN = 3  # problems named

Progress = Callable[[str], None]


def check_test_set(
    dataset: str, *, needed: bool = False, full: bool = False, progress: Progress | None = None
) -> Finding:
    """Look at a test set.

    All sequences are listed and their boxes read; of ten spread over the set the first, middle and
    last frame are decoded.

    Args:
        needed: what is not there, or not whole, is a failure.
        full: decode those frames of every sequence.
        progress: called with the name of each sequence.
    """
    place = dataset_path(dataset)
    setting, folder = FOLDERS[dataset]
    mend = f"export AIATRACK_{setting.upper()}_DIR=/path/to/{folder}  (README, 'Data')"
    if dataset == "demo":
        mend = "python tracking/train.py --config quick  (makes it)"
    where = f"{place.path} (from {place.source.split(';')[0]})"
    if not place.path.is_dir():
        return Finding(FAIL if needed else NOTE, dataset, f"not there: {where}", mend)
    try:
        test_set = open_dataset(dataset)
    except (OSError, ValueError) as error:
        return Finding(FAIL if needed else NOTE, dataset, f"{where}: {error}", mend)
    sequences, problems = _load_all(test_set, progress)
    expected = EXPECTED.get(dataset, len(test_set.names))
    found = f"{len(sequences)} of {expected} sequences"
    if not sequences:
        return Finding(FAIL if needed else NOTE, dataset, f"{where}: {found}; {problems[0]}", mend)
    problems += _check_frames(sequences, full)
    frames = sum(len(s.frames) for s in sequences)
    text = f"{where}: {found}, {frames} frames"
    if len(sequences) == expected and not problems:
        decoded = "all" if full else f"{min(SAMPLE, len(sequences))}"
        return Finding(OK, dataset, f"{text}; frames of {decoded} sequences decoded")
    more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    text += f"; {len(problems)} problem(s): {'; '.join(problems[:SHOWN])}{more}"
    return Finding(
        FAIL if needed else WARN, dataset, text, f"unpack the data set again into {place.path}"
    )


def _load_all(test_set: TestSet, progress: Progress | None) -> tuple[list[Sequence], list[str]]:
    """Load every sequence; those that cannot be, and frames without boxes, are problems."""
    sequences, problems = [], []
    for name in test_set.names:
        if progress:
            progress(name)
        try:
            sequence = test_set.load(name)
        except (OSError, ValueError) as error:
            problems.append(_reason(error))
            continue
        sequences.append(sequence)
        boxes, frames = len(sequence.boxes_xywh), len(sequence.frames)
        if 1 < boxes < frames:
            problems.append(f"{name}: {boxes} boxes for {frames} frames")
    return sequences, problems


def _check_frames(sequences: list[Sequence], full: bool) -> list[str]:
    """Decode the first, middle and last frame of some sequences, or of all."""
    step = 1 if full else max(1, len(sequences) // SAMPLE)
    problems = []
    for sequence in sequences[::step]:
        frames = sequence.frames
        for frame in dict.fromkeys((frames[0], frames[len(frames) // 2], frames[-1])):
            try:
                read_frame(frame)
            except (OSError, ImageError) as error:
                problems.append(_reason(error))
    return problems


def _reason(error: Exception) -> str:
    """An error in words, the operating system's with their file."""
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"no file {error.filename}"
    return str(error)
