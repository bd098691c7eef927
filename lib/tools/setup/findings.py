"""A line of the page that tracking/check_setup.py prints."""

from typing import NamedTuple

OK, NOTE, WARN, FAIL = "ok", "note", "WARN", "FAIL"  # a script needs to look at FAIL alone


class Finding(NamedTuple):
    """One line of the page."""

    level: str  # OK, NOTE, WARN (not right, but not needed) or FAIL
    subject: str
    text: str
    fix: str = ""  # a command, or what to do
