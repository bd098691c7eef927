"""Track a few sequences with the weights of an epoch, for the curves of a training.

tracking/train.py hands this to lib/train, which knows nothing of trackers.
"""

import copy
import logging
from dataclasses import dataclass

import numpy as np
import torch
from easydict import EasyDict

from lib.models.aiatrack.aiatrack import AiATrack
from lib.test.analysis.extract_results import figures
from lib.test.analysis.protocols import SequenceScore, default_protocol, score
from lib.test.evaluation.data import Truth
from lib.test.evaluation.datasets import open_dataset
from lib.test.evaluation.layouts import TestSet
from lib.test.evaluation.tracker import run_sequence
from lib.test.parameter.aiatrack import make_params
from lib.test.tracker.aiatrack import AiATrackTracker

MAX_SEQUENCES, MAX_FRAMES = 5, 200  # a look, not a measurement

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackSequences:
    """Tracks up to MAX_SEQUENCES of a test set after every so many epochs, and scores them."""

    dataset: str
    every: int  # epochs

    def __call__(self, model: AiATrack, cfg: EasyDict, epoch: int) -> dict[str, float]:
        """Return the mean AUC and each sequence's, in percent; nothing if it is not the time.

        What cannot be tracked or scored is logged and left out.
        """
        if epoch % self.every:
            return {}
        device = next(model.parameters()).device
        # A copy: the tracker's is never trained, and nothing of it is left.
        tracker = AiATrackTracker(copy.deepcopy(model), make_params(cfg, self.dataset), device)
        scores: dict[str, SequenceScore] = {}
        test_set = open_dataset(self.dataset)
        for name in few(test_set):
            try:
                scores[name] = self._score(tracker, test_set, name)
            except (OSError, ValueError, RuntimeError) as error:
                logger.warning("after epoch %d, %s is not tracked: %s", epoch, name, error)
        if not scores:
            return {}
        aucs = {name: figures([item])["AUC"] for name, item in scores.items()}
        return {"AUC": float(np.mean(list(aucs.values()))), **aucs}

    def _score(self, tracker: AiATrackTracker, test_set: TestSet, name: str) -> SequenceScore:
        sequence, truth = test_set.load(name), test_set.truth(name)
        sequence = sequence._replace(frames=sequence.frames[:MAX_FRAMES])
        with torch.no_grad():
            boxes_xywh = run_sequence(tracker, sequence).boxes_xywh
        return score(default_protocol(self.dataset), boxes_xywh, _first(truth, MAX_FRAMES))


def few(test_set: TestSet) -> list[str]:
    """Up to MAX_SEQUENCES names of those that can be scored, spread over the set."""
    names = []
    for name in test_set.names:
        try:
            test_set.truth(name)
        except (OSError, ValueError):
            continue
        names.append(name)
    chosen = np.linspace(0, len(names) - 1, min(MAX_SEQUENCES, len(names))).astype(int)
    return [names[i] for i in chosen]


def _first(truth: Truth, count: int) -> Truth:
    visible = None if truth.visible is None else truth.visible[:count]
    return truth._replace(boxes_xywh=truth.boxes_xywh[:count], visible=visible)
