"""AiATrack: everything but the programs, which are in tracking/."""

__version__ = "0.2.0.dev0"  # the one place; CITATION.cff and CHANGELOG.md are compared with it
