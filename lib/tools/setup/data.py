"""Whether a test set is whole: sequences found and expected, frames and boxes, frames that decode.

Neighbour: lib/test/evaluation/datasets.py knows the layouts.
"""

from lib.io.video_file import read_frame
from lib.test.evaluation.base_set import TestSet
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.datasets import open_dataset
from lib.test.evaluation.environment import FOLDERS, dataset_path
from lib.tools.setup.findings import FAIL, NOTE, OK, WARN, Finding
from lib.utils.image import ImageError

# Sequences of sets that bring their own list; the others' tables are in evaluation/sequences.
EXPECTED = {"trackingnet": 511, "got10k_test": 180, "got10k_val": 180}
SAMPLED = 10  # sequences of which frames are decoded, unless --full asks for all
MAX_NAMED = 3  # problems in the text


def check_test_set(dataset: str, *, needed: bool = False, full: bool = False) -> Finding:
    """List a test set's sequences, read their boxes, decode three frames of ten of them.

    Args:
        needed: what is not there, or not whole, is a failure.
        full: decode the first, middle and last frame of every sequence.
    """
    try:
        place = dataset_path(dataset)
    except ValueError as error:  # a path that is empty
        return Finding(FAIL, dataset, str(error), _how_to_get(dataset))
    where = f"{place.path} (from {place.source.split(';')[0]})"
    absent = Finding(FAIL if needed else NOTE, dataset, f"not there: {where}", _how_to_get(dataset))
    if not place.path.is_dir():
        return absent
    # Read the boxes of every sequence, and some frames.
    try:
        test_set = open_dataset(dataset)
    except (OSError, ValueError) as error:
        return absent._replace(text=f"{where}: {error}")
    sequences, problems = _load_all(test_set)
    expected = EXPECTED.get(dataset, len(test_set.names))
    count = f"{len(sequences)} of {expected} sequences"
    if not sequences:
        return absent._replace(text=f"{where}: {count}; {problems[0]}")
    problems += _check_frames(sequences, full)
    # Say what is there, and what is wrong with it.
    text = f"{where}: {count}, {sum(len(s.frames) for s in sequences)} frames"
    if len(sequences) == expected and not problems:
        decoded = "all" if full else min(SAMPLED, len(sequences))
        return Finding(OK, dataset, f"{text}; frames of {decoded} sequences decoded")
    more = f"; and {len(problems) - MAX_NAMED} more" if len(problems) > MAX_NAMED else ""
    text += f"; {len(problems)} problem(s): {'; '.join(problems[:MAX_NAMED])}{more}"
    fix = f"unpack the data set again into {place.path}"
    return Finding(FAIL if needed else WARN, dataset, text, fix)


def _how_to_get(dataset: str) -> str:
    if dataset == "demo":
        return "python tracking/train.py --config quick  (makes it)"
    setting, folder = FOLDERS[dataset]
    return f"export AIATRACK_{setting.upper()}_DIR=/path/to/{folder}  (docs/data.md)"


def _load_all(test_set: TestSet) -> tuple[list[Sequence], list[str]]:
    """Load every sequence; those that cannot be, and frames without boxes, are problems."""
    sequences, problems = [], []
    for name in test_set.names:
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
    step = 1 if full else max(1, len(sequences) // SAMPLED)
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
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"no file {error.filename}"
    return str(error)
