"""Trackers: `load_tracker` makes one from a recipe and a checkpoint."""

from lib.test.tracker.basetracker import BaseTracker, Output
from lib.test.tracker.load import load_tracker

__all__ = ["BaseTracker", "Output", "load_tracker"]
