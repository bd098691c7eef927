"""AiATrack under the VOT toolkit: `session.py` talks to it, `workspace.py` makes folders for it."""
