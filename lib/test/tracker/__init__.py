"""Trackers: `load_tracker` makes one from a recipe and a checkpoint; docs/api.md shows the rest."""

from lib.test.tracker.basetracker import BaseTracker, BatchTracker, Output
from lib.test.tracker.detections import to_detections
from lib.test.tracker.inputs import as_rgb
from lib.test.tracker.load import load_tracker

__all__ = ["BaseTracker", "BatchTracker", "Output", "as_rgb", "load_tracker", "to_detections"]
