"""Trackers: `load_tracker` makes one from a recipe and a checkpoint."""

from lib.test.tracker.basetracker import BaseTracker, BatchTracker, Output
from lib.test.tracker.load import load_tracker

__all__ = ["BaseTracker", "BatchTracker", "Output", "load_tracker"]
